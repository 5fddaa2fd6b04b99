#!/usr/bin/env python3
"""What is in the release binary, and under which licences:

    Scripts/sbom.py RELEASE-BUILD OUTPUT-FOLDER

prints a table, and writes mailwarden.spdx.json (SPDX 2.3) and third-party-licenses.txt: the licences and notices that
have to go along with the binary.

The linker's list of objects says which packages are in it: more are resolved than are linked. A module or a shared
library that nothing here accounts for is an error, so that the list cannot fall behind.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
from datetime import datetime, timezone

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The first words of a licence's text that tell which it is.
LICENCES = [
    ("Apache-2.0 WITH Swift-exception", r"Apache License.*Runtime Library Exception"),
    ("Apache-2.0", r"Apache License\s+Version 2\.0"),
    ("MIT", r"Permission is hereby granted, free of charge, to any person obtaining a copy"),
]
# What packages bring along of others' work: its name, the package, where its version stands and in what words, its
# licence, and the licence's text where the package leaves it out (Debian has it of the same program).
VENDORED = [
    ("boringssl", "swift-crypto", "Sources/CCryptoBoringSSL/hash.txt", r"revision (\w+)", "Apache-2.0", None),
    ("boringssl", "swift-nio-ssl", "Sources/CNIOBoringSSL/hash.txt", r"revision (\w+)", "Apache-2.0", None),
    (
        "llhttp",
        "swift-nio",
        "Sources/CNIOLLHTTP/include/c_nio_llhttp.h",
        r"LLHTTP_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)",
        "MIT",
        None,
    ),
    ("libyaml", "Yams", None, None, "MIT", "/usr/share/doc/libyaml-0-2/copyright"),
]
# What Debian's copyright files say in words, by source package; each was read there.
DEBIAN_LICENCES = {
    "sendmail": "Sendmail",
    "sqlite3": "blessing",
    "zlib": "Zlib",
    "glibc": "LGPL-2.1-or-later",
    "gcc-12": "GPL-3.0-or-later WITH GCC-exception-3.1",
}


def fail(message):
    sys.exit(f"sbom.py: {message}")


def licence(folder):
    """A package's licence by SPDX's name, and the files with its text and its notices."""
    files = sorted(f for f in folder.iterdir() if re.match(r"(LICEN[CS]E|COPYING|NOTICE)(\.(txt|md))?$", f.name))
    text = "\n".join(f.read_text() for f in files if not f.name.startswith("NOTICE"))
    for name, words in LICENCES:
        if re.search(words, text, re.S):
            return name, files
    fail(f"the licence in {folder} is none of {', '.join(name for name, _ in LICENCES)}: add it to LICENCES")


def linked_packages(build):
    """The folders in `checkouts` whose modules the linker was given; `sources` and the `.d` files name their sources."""
    lists = list(build.glob("*/release/mailwarden.product/Objects.LinkFileList"))
    if not lists:
        fail(f"no release build of mailwarden in {build}: run make build")
    found = set()
    for module in set(re.findall(r"/([^/\n]+)\.build/", lists[0].read_text())):
        folder = lists[0].parent.parent / f"{module}.build"
        notes = [folder / "sources"] if (folder / "sources").exists() else sorted(folder.rglob("*.d"))[:1]
        origin = re.search(r"/checkouts/([^/\s]+)/", notes[0].read_text()) if notes else None
        if origin:
            found.add(origin[1])
        elif not (ROOT / "Sources" / module).is_dir():
            fail(f"the module {module} is linked, and neither ours nor of a package in {build}/checkouts")
    return found


def swift_packages(build):
    linked = linked_packages(build)
    state = json.loads((build / "workspace-state.json").read_text())
    for dependency in state["object"]["dependencies"]:
        if dependency["subpath"] in linked:
            yield {
                "name": dependency["packageRef"]["name"],
                "version": dependency["state"]["checkoutState"]["version"],
                "source": dependency["packageRef"]["location"],
                "folder": build / "checkouts" / dependency["subpath"],
            }


def vendored_parts(package):
    """What a package brings along, with the files that have its licence."""
    for name, holder, place, words, kind, text in VENDORED:
        if holder != package["name"]:
            continue
        version, files = "NOASSERTION", [pathlib.Path(text)] if text else []
        if place:
            path = package["folder"] / place
            version = ".".join(re.findall(words, path.read_text())) or fail(f"{path} does not say its version")
            files += sorted(path.parent.glob("LICENSE*")) + sorted(path.parent.parent.glob("LICENSE*"))
        yield {
            "name": f"{name} (in {holder})",
            "version": version,
            "source": "NOASSERTION",
            "licence": kind,
            "how": "in the binary",
            "files": files,
        }


def swift_runtime():
    """The toolchain's standard library and Foundation, whose text handling brings ICU along (without its licence's text)."""
    toolchain = pathlib.Path(run("sh", "-c", "command -v swiftc").strip()).resolve().parents[1]
    return {
        "name": "swift",
        "version": re.search(r"Swift version (\S+)", run("swift", "--version"))[1],
        "source": "https://github.com/swiftlang/swift",
        "licence": "Apache-2.0 WITH Swift-exception AND Unicode-3.0",
        "how": "in the binary",
        "text": (toolchain / "share/swift/LICENSE.txt").read_text(),
    }


def shared_libraries(binary):
    """The Debian packages of the libraries that the binary itself names."""
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", binary))
    places = dict(re.findall(r"^\s*(\S+) => (\S+)", run("ldd", binary), re.M))
    packages = {}
    for library in needed:
        path = places.get(library) or f"/lib64/{library}"
        owner = next((o for o in (owner_of(p) for p in (path, "/usr" + path)) if o), None)
        if owner is None:
            fail(f"no Debian package has {library} ({path})")
        version, source = run("dpkg-query", "-W", "-f", "${Version} ${source:Package}", owner).split()
        if source not in DEBIAN_LICENCES:
            fail(f"{library} comes from Debian's {source}: read its copyright file and add it to DEBIAN_LICENCES")
        packages[owner.split(":")[0]] = {"version": version, "licence": DEBIAN_LICENCES[source], "source": source}
    return packages


def owner_of(path):
    found = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True)
    return found.stdout.split(": ")[0].split(",")[0] if found.returncode == 0 else None


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def document(version, digest, parts):
    """The SPDX document: the binary, and what it contains or needs."""
    def identifier(name):
        return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)

    packages = [
        {
            "SPDXID": "SPDXRef-mailwarden",
            "name": "mailwarden",
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
        }
    ]
    relations = [
        {
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-mailwarden",
        }
    ]
    for part in parts:
        packages.append(
            {
                "SPDXID": identifier(part["name"]),
                "name": part["name"],
                "versionInfo": part["version"],
                "downloadLocation": part["source"],
                "filesAnalyzed": False,
                "licenseConcluded": part["licence"],
                "licenseDeclared": part["licence"],
                "copyrightText": "NOASSERTION",
            }
        )
        relations.append(
            {
                "spdxElementId": "SPDXRef-mailwarden",
                "relationshipType": "STATIC_LINK" if part["how"] == "in the binary" else "DYNAMIC_LINK",
                "relatedSpdxElement": identifier(part["name"]),
            }
        )
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"mailwarden-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/mailwarden-{version}-{digest}",
        "creationInfo": {
            "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: Scripts/sbom.py"],
        },
        "packages": packages,
        "relationships": relations,
    }


def main():
    if len(sys.argv) != 3:
        fail("usage: Scripts/sbom.py RELEASE-BUILD OUTPUT-FOLDER")
    build, output = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    binary = build / "release" / "mailwarden"
    version = re.search(r'"([^"]+)"', (ROOT / "Sources/mailwarden/Version.swift").read_text())[1]
    parts, texts = [], []
    for package in swift_packages(build):
        name, files = licence(package["folder"])
        parts.append({**package, "licence": name, "how": "in the binary"})
        texts += [(f"{package['name']} {package['version']}: {file.name}", file.read_text()) for file in files]
        for vendored in vendored_parts(package):
            parts.append(vendored)
            texts += [(f"{vendored['name']}: {file.name}", file.read_text()) for file in vendored["files"]]
    parts.append(runtime := swift_runtime())
    texts.append((f"{runtime['name']} {runtime['version']}: LICENSE.txt", runtime["text"]))
    for name, library in shared_libraries(binary).items():
        source = f"https://packages.debian.org/source/{library['source']}"
        parts.append({**library, "name": name, "source": source, "how": "shared library"})

    output.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    spdx, licences = output / "mailwarden.spdx.json", output / "third-party-licenses.txt"
    spdx.write_text(json.dumps(document(version, digest, parts), indent=2) + "\n")
    licences.write_text("\n".join(f"{'=' * 78}\n{title}\n{'=' * 78}\n\n{text.strip()}\n" for title, text in texts))

    rows = [("", "version", "licence", "")] + [(p["name"], p["version"], p["licence"], p["how"]) for p in parts]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f"\n{spdx}\n{licences}")


main()
