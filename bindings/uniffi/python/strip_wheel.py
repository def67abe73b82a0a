"""Takes the names of functions that nobody calls from outside out of the library in a wheel: UniFFI's generator, which
maturin runs, is the only one to read them, and they are a tenth of the library."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


def stripped(library):
    with tempfile.NamedTemporaryFile() as file:
        file.write(library)
        file.flush()
        subprocess.run(["strip", "--strip-unneeded", file.name], check=True)
        return Path(file.name).read_bytes()


def recorded(record, changed):
    """The wheel's list of its files, with the sums of those that are other ones now."""
    rows = [
        [name, "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(changed[name]).digest()).rstrip(b"=").decode(), str(len(changed[name]))]
        if name in changed else [name, *rest]
        for name, *rest in csv.reader(io.StringIO(record.decode()))
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def main(path):
    with zipfile.ZipFile(path) as wheel:
        files = [(info, wheel.read(info)) for info in wheel.infolist()]
    changed = {info.filename: stripped(content) for info, content in files if content[:4] == b"\x7fELF"}
    if not changed:
        sys.exit(f"{path} has no library")
    new = path.with_suffix(".new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as wheel:
        for info, content in files:
            content = changed.get(info.filename, content)
            if info.filename.endswith(".dist-info/RECORD"):
                content = recorded(content, changed)
            # With its time, its mode and how it is packed: the same sources make the same bytes.
            wheel.writestr(info, content)
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
