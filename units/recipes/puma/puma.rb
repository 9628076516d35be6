# Answers what is in its queue before it leaves, and leaves with status 0.
drain_on_shutdown
raise_exception_on_sigterm false
