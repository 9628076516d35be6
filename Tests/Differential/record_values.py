"""Records what systemd makes of every form of values in value_forms.py. Run by record-values inside of a container.

The output has groups of directives for which the same forms have the same ends. Of a directive: its section, name and properties,
and what these are without it. Of a case: the values that are assigned one after the other; c: systemd complained, x: the unit was
not loaded; the properties, null if they are as without the directive."""

import json, os, re, subprocess, sys
from collections import OrderedDict
from itertools import groupby
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import value_forms as V
D = "/run/systemd/system"
BASE = {"Service": "ExecStart=/bin/true\n", "Socket": "ListenStream=/run/base\n"}
# Properties that systemctl cannot show as text.
BUS = re.compile("^(Conditions|Asserts|TTYRows|TTYColumns|LoadCredential|SetCredential|(Runtime|State|Cache|Logs)DirectorySymlink|Exec.*Ex)$")

def text_of(section, directive, form):
    own = "Socket" if section == "Socket" else "Service"
    base = "" if directive == "ExecStart" or directive.startswith("Listen") else BASE[own]
    if directive == "CPUSchedulingPriority": base += "CPUSchedulingPolicy=rr\n"
    lines = "".join("%s=%s\n" % (directive, v) for v in form)
    if section == "Unit": return "[Unit]\n" + lines + "[%s]\n" % own + base
    return "[%s]\n" % own + base + lines

def show(names, props):
    args = ["systemctl", "show", "-p", "Id", "-p", "LoadState"] + sum([["-p", p] for p in props], []) + names
    r = subprocess.run(args, capture_output=True)
    blocks = r.stdout.decode("utf-8", "replace").rstrip("\n").split("\n\n")
    if len(blocks) != len(names):
        if len(names) == 1: return {names[0]: [["LoadState", "unreadable"]]}
        found = {}
        for name in names: found.update(show([name], props))
        return found
    return {n: [l.split("=", 1) for l in b.split("\n") if "=" in l] for n, b in zip(names, blocks)}

def bus(name, prop):
    kind = "Socket" if name.endswith(".socket") else "Service"
    interface = "Unit" if prop in ("Conditions", "Asserts") else kind
    path = "/org/freedesktop/systemd1/unit/" + name.replace(".", "_2e")
    r = subprocess.run(["busctl", "--json=short", "get-property", "org.freedesktop.systemd1", path, "org.freedesktop.systemd1." + interface, prop], capture_output=True)
    if r.returncode: return "unreadable"
    d = json.loads(r.stdout)["data"]
    if prop in ("Conditions", "Asserts"): return " ".join(("|" if c[1] else "") + ("!" if c[2] else "") + c[3] for c in d)
    if prop.startswith("Exec"): return [[c[0], c[1], " ".join(c[2])] for c in d]
    return json.dumps(d) if isinstance(d, list) else str(d)

DEPS = set("Wants Requires Requisite BindsTo PartOf Upholds Conflicts Before After OnFailure OnSuccess PropagatesReloadTo ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom".split())
def shown(prop, v):
    if isinstance(v, list):
        if prop == "Listen": return "\x1e".join(v)
        return "\x1e".join("\x1f".join([c[0]] + c[1] + [c[2]]) if isinstance(c, list) else c for c in v)
    if prop.endswith("Symlink"):
        a, b = v.rsplit("|", 1)
        try: b = " ".join("%s:%s" % (x[0], x[1]) for x in json.loads(b))
        except ValueError: pass
        return a + "|" + b
    return v
def converted(rows):
    defaults, by = {}, OrderedDict()
    for section, name, prop, form, state, complained, message, value in rows:
        v = shown(prop, value)
        key = (section, name, prop)
        if form == []: defaults[key] = v; by[key] = []; continue
        if prop in DEPS:
            v = " ".join(sorted(set(v.split()) - set(defaults[key].split())))
        flags = ("c" if complained else "") + ("" if state == "loaded" else "x")
        same = "" if prop in DEPS else defaults[key]
        by[key].append([form, flags, None if v == same or state != "loaded" else v])
    groups = OrderedDict()
    for key, cases in by.items():
        groups.setdefault(json.dumps(cases), [cases, []])[1].append(list(key) + ["" if key[2] in DEPS else defaults[key]])
    out = ["{\"groups\": ["]
    for i, (cases, ds) in enumerate(groups.values()):
        out.append(("," if i else "") + "{\"directives\": [" + ", ".join(json.dumps(d, ensure_ascii=False) for d in ds) + "],")
        out.append("\"cases\": [")
        out.append(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases))
        out.append("]}")
    out.append("]}")
    return "\n".join(out)

def main():
    os.makedirs("/run/systemd/journald.conf.d", exist_ok=True)
    open("/run/systemd/journald.conf.d/x.conf", "w").write("[Journal]\nRateLimitIntervalSec=0\nRuntimeMaxUse=1G\n")
    subprocess.run(["systemctl", "restart", "systemd-journald"])
    cursor = subprocess.run(["journalctl", "-n1", "--show-cursor", "-q"], capture_output=True, text=True).stdout.split("-- cursor: ")[-1].strip()
    only = sys.argv[1].split(",") if len(sys.argv) > 1 else None
    units = []
    for (section, directive), (prop, forms) in V.SECTIONS.items():
        if only and directive not in only: continue
        if directive.startswith("Exec") and section == "Service": prop = directive + "Ex"
        for form in [[]] + forms:
            name = "v%05d.%s" % (len(units) + 1, "socket" if section == "Socket" else "service")
            open(D + "/" + name, "w").write(text_of(section, directive, form))
            units.append((name, section, directive, prop, form))
    subprocess.run(["systemctl", "daemon-reload"])
    shown = {}
    for prop, group in groupby(units, key=lambda u: u[3]):
        names = [u[0] for u in group]
        for i in range(0, len(names), 100):
            part = names[i:i + 100]
            props = [p for p in prop.split(",") if p]
            shown.update(show(part, [p for p in props if not BUS.match(p)]))
            for p in props:
                if BUS.match(p):
                    for n in part: shown[n].append([p, bus(n, p)])
    subprocess.run(["journalctl", "--sync"])
    complained = {}
    j = subprocess.Popen(["journalctl", "--after-cursor=" + cursor, "_PID=1", "-o", "json", "--all", "--output-fields=MESSAGE,CONFIG_FILE"], stdout=subprocess.PIPE)
    for line in j.stdout:
        e = json.loads(line)
        f = e.get("CONFIG_FILE")
        if f and f.startswith(D + "/v"):
            m = e["MESSAGE"]
            complained[f.split("/")[-1]] = bytes(m).decode("utf-8", "replace") if isinstance(m, list) else m
    out = []
    for name, section, directive, prop, form in units:
        stem = name.split(".")[0]
        values = []
        state = None
        for k, v in shown.get(name, []):
            if k == "LoadState": state = v
            elif k != "Id": values.append(v)
        if prop == "Listen" or prop.startswith("Exec"): value = values if prop == "Listen" else (values[0] if values else [])
        else: value = "|".join(map(str, values))
        value = json.loads(json.dumps(value).replace(stem, "v00000"))
        out.append([section, directive, prop, form, state, name in complained, complained.get(name, "").split(": ", 1)[-1].replace(stem, "v00000"), value])
    print(converted(json.loads(json.dumps(out))))
main()
