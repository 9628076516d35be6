run ->(_) { [200, { "Content-Type" => "text/plain" }, ["puma\n"]] }
