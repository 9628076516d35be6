"""Cases of systemd.unit(5)'s look-up order, and what systemd makes of them. Run by record-lookup inside of a container.

A case is the unit that is asked about and the files that are there: E, R and U stand for the directories of /etc, /run and
/usr/lib, X for a name that no other case has. "->" begins what a symbolic link leads to; a text is a file; "/" is a directory."""

import json
import os
import subprocess
import sys

ROOTS = {"E": "/etc/systemd/system", "R": "/run/systemd/system", "U": "/usr/lib/systemd/system"}
NULL = "->/dev/null"


def unit(text="", **more):
    return "[Unit]\nDescription=%s\n%s[Service]\nExecStart=/bin/true\n" % (text, "".join("%s=%s\n" % m for m in more.items()))


def conf(text):
    return "[Unit]\nDocumentation=man:%s\n" % text


CASES = [
    # Fragments.
    ("X.service", {"E/X.service": unit("e"), "R/X.service": unit("r"), "U/X.service": unit("u")}),
    ("X.service", {"R/X.service": unit("r"), "U/X.service": unit("u")}),
    ("X.service", {"U/X.service": unit("u")}),
    ("X.service", {}),
    ("X.service", {"E/X.service.d/a.conf": conf("a")}),
    ("X.service", {"E/X.service": NULL, "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": "", "U/X.service": unit("u")}),
    ("X.service", {"R/X.service": NULL, "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": unit("e"), "R/X.service": NULL}),
    ("X.service", {"U/X.service": NULL}),
    ("X.service", {"E/X.service": "->/opt/X-empty.service", "/opt/X-empty.service": "", "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": "->/opt/X.service", "/opt/X.service": unit("linked"), "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": "->/opt/X-other.service", "/opt/X-other.service": unit("other name")}),
    ("X.service", {"E/X.service": "->/opt/X-gone.service", "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": "/", "U/X.service": unit("u")}),
    ("X.service", {"E/X.service": NULL, "E/X.service.d/a.conf": conf("a"), "U/X.service": unit("u")}),
    # Templates and instances.
    ("X@i.service", {"U/X@.service": unit("%i")}),
    ("X@i.service", {"U/X@i.service": unit("own"), "E/X@.service": unit("template")}),
    ("X@i.service", {"U/X@i.service": NULL, "E/X@.service": unit("template")}),
    ("X@i.service", {"E/X@i.service": "", "E/X@.service": unit("template")}),
    ("X@i.service", {"E/X@.service": NULL, "U/X@.service": unit("template")}),
    ("X@i.service", {"E/X@.service": NULL, "U/X@i.service": unit("own")}),
    ("X@i.service", {"E/X@i.service": "->X@.service", "E/X@.service": unit("%i")}),
    ("X@i.service", {"E/X@i.service": "->X-other@.service", "E/X-other@.service": unit("%p %i"), "U/X@.service": unit("u")}),
    ("X@i.service", {"E/X@i.service": "->X-other@j.service", "E/X-other@.service": unit("%p %i")}),
    ("X@i.service", {"E/X@.service": "->X-other@.service", "U/X-other@.service": unit("%p %i")}),
    ("X@i.service", {"E/X@i.service": "->X-plain.service", "E/X-plain.service": unit("%p %i")}),
    ("X@a-b.service", {"U/X@.service": unit("%I")}),
    # Aliases.
    ("X.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real")}),
    ("X-real.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->/usr/lib/systemd/system/X-real.service", "U/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->X-1.service", "E/X-1.service": "->X-2.service", "E/X-2.service": unit("2")}),
    ("X.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real"), "U/X.service": unit("own")}),
    ("X.service", {"U/X.service": "->X-real.service", "E/X.service": unit("own"), "U/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->X.service"}),
    ("X.service", {"E/X.service": "->X-1.service", "E/X-1.service": "->X.service"}),
    ("X.service", {"E/X.service": "->X-real.service", "E/X-real.service": NULL, "U/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->X-real.socket", "U/X-real.socket": "[Socket]\nListenStream=/run/X\n"}),
    ("X.service", {"E/X.service": "->X@.service", "E/X@.service": unit("template")}),
    ("X.service", {"E/X.service": "->X@a.service", "E/X@.service": unit("template %i")}),
    ("X.service", {"E/X.service": "->../system/X-real.service", "E/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real"), "E/X.service.d/a.conf": conf("alias"),
                   "E/X-real.service.d/b.conf": conf("real")}),
    ("X-real.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real"), "E/X.service.d/a.conf": conf("alias"),
                        "E/X-real.service.d/a.conf": conf("real"), "R/X.service.d/c.conf": conf("c")}),
    ("X-real.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real"), "E/X.service.wants/X-w.service": "->X-w.service",
                        "E/X-w.service": unit("w")}),
    ("X-b@i.service", {"E/X@.service": "->X-b@.service", "U/X-b@.service": unit("%p"), "E/X@.service.d/a.conf": conf("a"),
                       "E/X@i.service.d/b.conf": conf("b")}),
    # Drop-ins.
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/b.conf": conf("e"), "R/X.service.d/a.conf": conf("r"),
                   "U/X.service.d/c.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": conf("e"), "R/X.service.d/a.conf": conf("r"),
                   "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": NULL, "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": "", "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": "->/opt/X-empty.conf", "/opt/X-empty.conf": "",
                   "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": "->/opt/X-gone.conf", "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": "->/opt/X.conf", "/opt/X.conf": conf("linked")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.conf": "/", "U/X.service.d/a.conf": conf("u")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d/a.txt": conf("txt"), "E/X.service.d/.a.conf": conf("hidden"),
                   "E/X.service.d/.conf": conf("dot"), "E/X.service.d/a.conf~": conf("backup"), "E/X.service.d/conf": conf("none"),
                   "E/X.service.d/a.CONF": conf("upper"), "E/X.service.d/a.conf.dpkg-old": conf("dpkg"), "E/X.service.d/B.conf": conf("B"),
                   "E/X.service.d/10-b.conf": conf("10"), "E/X.service.d/9-b.conf": conf("9"), "E/X.service.d/_.conf": conf("_")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.d": "->/opt/X-dir", "/opt/X-dir/a.conf": conf("a")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@.service.d/a.conf": conf("template"), "R/X@i.service.d/a.conf": conf("instance")}),
    ("X@i.service", {"U/X@.service": unit("u"), "U/X@.service.d/b.conf": conf("template"), "E/X@i.service.d/a.conf": conf("instance")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@i.service.d/a.conf": NULL, "U/X@.service.d/a.conf": conf("template")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@.service.d/a.conf": NULL, "U/X@i.service.d/a.conf": conf("instance")}),
    ("X@i.service", {"U/X@i.service": unit("own"), "E/X@.service.d/a.conf": conf("template")}),
    ("X-a-b.service", {"U/X-a-b.service": unit("u"), "E/X-.service.d/a.conf": conf("X-"), "E/X-a-.service.d/a.conf": conf("X-a-"),
                       "E/X-a-.service.d/b.conf": conf("b"), "E/X-.service.d/c.conf": conf("c")}),
    ("X-a-b.service", {"U/X-a-b.service": unit("u"), "E/X-.service.d/a.conf": conf("X-"), "U/X-a-b.service.d/a.conf": conf("own")}),
    ("X-a-b.service", {"U/X-a-b.service": unit("u"), "E/X-.service.d/a.conf": conf("X-"), "R/X-a-.service.d/a.conf": conf("X-a-")}),
    ("X-a-b.service", {"U/X-a-b.service": unit("u"), "E/X-a-b-.service.d/a.conf": conf("no"), "E/X.service.d/a.conf": conf("no")}),
    ("X-.service", {"U/X-.service": unit("u"), "E/X-.service.d/a.conf": conf("own")}),
    ("X--b.service", {"U/X--b.service": unit("u"), "E/X-.service.d/a.conf": conf("one"), "E/X--.service.d/a.conf": conf("two")}),
    ("X-a@i-j.service", {"U/X-a@.service": unit("u"), "E/X-@.service.d/a.conf": conf("X-@"), "E/X-a@i-.service.d/b.conf": conf("i-"),
                         "E/X-@i-j.service.d/c.conf": conf("c"), "E/X-.service.d/d.conf": conf("d")}),
    ("X-a@i.service", {"U/X-a@.service": unit("u"), "E/X-.service.d/a.conf": conf("X-"), "E/X-a@.service.d/a.conf": conf("template")}),
    ("X.service", {"U/X.service": unit("u"), "E/service.d/X.conf": conf("type"), "U/X.service.d/X.conf": conf("own")}),
    ("X.service", {"U/X.service": unit("u"), "E/service.d/X.conf": conf("type"), "U/X.service.d/a-X.conf": conf("own")}),
    ("X.service", {"U/X.service": unit("u"), "U/service.d/X.conf": conf("type"), "E/service.d/X.conf": NULL}),
    ("X-a.service", {"U/X-a.service": unit("u"), "E/service.d/X.conf": conf("type"), "U/X-.service.d/X.conf": conf("prefix")}),
    ("X.service", {"U/X.service": unit("u"), "E/socket.d/X.conf": conf("socket")}),
    # Of each two directories that follow each other in the order, which one counts.
    ("X-a-b@i.service", dict([("U/X-a-b@.service", unit("u"))] + [
        ("E/%s.service.d/%d.conf" % (directory, number), conf("c"))
        for at, directory in enumerate(["X-a-b@i", "X-a-b@", "X-a-", "X-", "X-a-@i", "X-a-@", "X-@i", "X-@"])
        for number in (at, at + 1)])),
    # Links out of the search path, and links that are refused.
    ("X.service", {"E/X.service": "->/opt/X-real.service", "/opt/X-real.service": unit("opt"), "U/X-real.service": unit("real")}),
    ("X.service", {"E/X.service": "->X@a.service", "E/X@.service": unit("template %i"), "U/X.service": unit("lower")}),
    ("X@i.service", {"E/X@i.service": "->X-other@j.service", "E/X-other@.service": unit("%p %i"), "U/X@.service": unit("template")}),
    ("X.service", {"E/X.service": "->/lib/systemd/system/X-real.service", "U/X-real.service": unit("real")}),
    # Links in .wants and .requires.
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->../X-w.service", "E/X-w.service": unit("w")}),
    ("X.service", {"U/X.service": unit("u"), "U/X.service.requires/X-w.service": "->../X-w.service", "E/X-w.service": unit("w")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-e.service": "->../X-e.service", "R/X.service.wants/X-r.service": "->../X-r.service",
                   "U/X.service.wants/X-u.service": "->../X-u.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": NULL, "U/X.service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "", "U/X.service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": unit("regular"), "U/X.service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": unit("regular")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "/"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->/opt/X-gone.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->/opt/X-empty.service", "/opt/X-empty.service": ""}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->../X-other.service", "E/X-other.service": unit("o")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w@a.service": "->../X-w@.service", "E/X-w@.service": unit("o")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w@.service": "->../X-w@.service", "E/X-w@.service": unit("o")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@.service.wants/X-w@.service": "->../X-w@.service", "E/X-w@.service": unit("o")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@i.service.wants/X-w@.service": "->../X-w@.service", "E/X-w@.service": unit("o")}),
    ("X@i.service", {"U/X@.service": unit("u"), "E/X@.service.wants/X-w@%i.service": "->../X-w@.service", "E/X-w@.service": unit("o")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.unknown": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/.X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service~": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X.service": "->../X.service"}),
    ("X-a-b.service", {"U/X-a-b.service": unit("u"), "E/X-.service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->../X-w.service", "E/X-w.service": NULL}),
    ("X.service", {"E/X.service.wants/X-w.service": "->../X-w.service", "E/X-w.service": unit("w")}),
    ("X.target", {"E/X.target.wants/X-w.service": "->../X-w.service", "E/X-w.service": unit("w"), "U/X.target": "[Unit]\n"}),
    ("X.service", {"E/X.service": "->X-real.service", "U/X-real.service": unit("real"), "E/X.service.wants/X-w.service": NULL,
                   "E/X-real.service.wants/X-w.service": "->../X-w.service"}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.wants/X-w.service": "->../X-real.service", "E/X-w.service": "->X-real.service",
                   "U/X-real.service": unit("real")}),
    ("X.service", {"U/X.service": unit("u"), "E/X.service.upholds/X-w.service": "->../X-w.service"}),
]


def place(path, token):
    path = path.replace("X", token)
    return path if path.startswith("/") else ROOTS[path[0]] + path[1:]


def write(files, token):
    for path, text in files.items():
        full = place(path, token)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if text.startswith("->"):
            os.symlink(text[2:].replace("X", token), full)
        elif text == "/":
            os.makedirs(full, exist_ok=True)
        else:
            with open(full, "w") as file:
                file.write(text.replace("X", token))


def seen(name, token):
    properties = "Id LoadState FragmentPath DropInPaths Wants Requires Description".split()
    arguments = ["systemctl", "show", name] + ["-p" + p for p in properties]
    lines = subprocess.run(arguments, capture_output=True, text=True).stdout.splitlines()
    shown = dict(line.split("=", 1) for line in lines if "=" in line)
    result = {"state": shown["LoadState"], "id": shown["Id"]}
    # Debian's /lib is /usr/lib.
    result["fragment"] = shown.get("FragmentPath", "").replace("/lib/systemd", "/usr/lib/systemd").replace("/usr/usr", "/usr")
    result["dropIns"] = [path for path in shown.get("DropInPaths", "").split() if token in path]
    for key in "Wants", "Requires":
        words = (word.strip('"') for word in shown.get(key, "").split())
        result[key.lower()] = sorted(word for word in words if token in word and not word.endswith(".slice"))
    if shown["LoadState"] == "loaded":
        result["description"] = shown["Description"]
    return {key: value for key, value in result.items() if value}


def main():
    for number, (_, files) in enumerate(CASES):
        write(files, "c%03d" % number)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    rows = []
    for number, (name, files) in enumerate(CASES):
        token = "c%03d" % number
        rows.append({"unit": name.replace("X", token), "files": {place(p, token): t.replace("X", token) for p, t in files.items()},
                     "seen": seen(name.replace("X", token), token)})
    print("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]")


main()
