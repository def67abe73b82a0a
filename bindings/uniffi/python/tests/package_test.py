"""The wheel: what is in it, and that it works with its own library only."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import vidcache

PYTHON = Path(__file__).parents[1]
SOURCES = sorted(str(p.relative_to(PYTHON / "src")) for p in (PYTHON / "src").rglob("*") if p.suffix in (".py", ".typed"))
NATIVE = [f"vidcache/_native/{name}" for name in ("__init__.py", "libvidcache_uniffi.so", "vidcache_uniffi.py")]


def test_the_wheel_has_the_package_and_the_library_and_fits_every_python():
    (wheel,) = Path(os.environ["VIDCACHE_WHEEL"]).glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(SOURCES + NATIVE)
    assert wheel.name.startswith(f"vidcache-{vidcache.__version__}-py3-none-")


def test_the_wheel_carries_its_licences_and_the_notices_of_third_parties():
    (wheel,) = Path(os.environ["VIDCACHE_WHEEL"]).glob("*.whl")
    files = zipfile.ZipFile(wheel)
    texts = {name.rpartition("/")[2]: files.read(name).decode() for name in files.namelist() if ".dist-info/licenses/" in name}
    assert sorted(texts) == ["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY.txt"]
    (bill,) = (name for name in files.namelist() if ".dist-info/sboms/" in name)
    listed = {component["name"] for component in json.loads(files.read(bill))["components"]}
    for crate in ("libsqlite3-sys", "rusqlite", "serde_json", "uniffi"):
        assert crate in listed
        assert re.search(rf"^{crate} \d", texts["THIRD-PARTY.txt"], re.M), crate


def test_the_package_is_the_one_of_this_checkout():
    installed = Path(vidcache.__file__).parent
    for name in SOURCES:
        assert (installed.parent / name).read_bytes() == (PYTHON / "src" / name).read_bytes(), name
    assert importlib.metadata.version("vidcache") == vidcache.__version__


def test_it_parses_as_python_3_9():
    for name in SOURCES:
        if name.endswith(".py"):
            ast.parse((PYTHON / "src" / name).read_text(), name, feature_version=(3, 9))


def test_at_the_interpreter_s_end_an_object_that_outlives_uniffi_s_module_says_nothing(tmp_path):
    # Names that begin with an underscore are taken away first. So it happens by itself on free-threaded CPython 3.13.
    script = """
import sys, vidcache
from vidcache._native import vidcache_uniffi

class First:
    def __del__(self, uniffi=vidcache_uniffi):
        uniffi._UniffiLib = None
        print("gone")

_first, cache = First(), vidcache.Cache(sys.argv[1], 62515)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path / "cache")], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "gone\n", "")


def changed(folder, change):
    """Imports a copy in which something was changed; returns what it says."""
    package = folder / "vidcache"
    shutil.copytree(Path(vidcache.__file__).parent, package)
    change(package)
    for info in Path(vidcache.__file__).parents[1].glob("vidcache-*.dist-info"):
        shutil.copytree(info, folder / info.name)
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", "import vidcache"]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=folder, check=False).stderr


def test_a_copy_imports(tmp_path):
    assert changed(tmp_path, lambda package: None) == ""


@pytest.mark.parametrize("what", ["no library", "a cut library", "a newer glibc's", "another contract", "another version"])
def test_another_library_is_a_clear_error_at_import(tmp_path, what):
    def change(package):
        native = package / "_native"
        if what == "no library":
            (native / "libvidcache_uniffi.so").unlink()
            return
        library = native / "libvidcache_uniffi.so"
        if what == "a cut library":
            library.write_bytes(library.read_bytes()[:40])
            return
        if what == "a newer glibc's":
            wanted = max(re.findall(rb"\0GLIBC_2\.\d\d\0", library.read_bytes()))
            library.write_bytes(library.read_bytes().replace(wanted, b"\0GLIBC_9.99\0"))
            return
        module = native / "vidcache_uniffi.py"
        text = module.read_text()
        if what == "another contract":
            new = text.replace("bindings_contract_version = ", "bindings_contract_version = 1 + ", 1)
        else:
            new = text + '\ndef library_version():\n    return "0.0.1"\n'
        assert new != text
        module.write_text(new)

    said = changed(tmp_path, change).strip().splitlines()[-1]
    assert said.startswith("ImportError: vidcache: ") and "install vidcache again" in said, said
    if what == "a newer glibc's":
        assert "GLIBC_9.99' not found" in said and said.endswith("install vidcache again, for this one"), said


@pytest.mark.parametrize("tool", [["mypy"], ["pyright", "--pythonpath", sys.executable, "tests/typed.py"]], ids=lambda tool: tool[0])
def test_types(tool):
    run = subprocess.run([sys.executable, "-m", *tool], cwd=PYTHON, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    if tool[0] == "pyright" and not re.search(r"\d+ errors?, \d+ warnings?", said):
        pytest.skip("pyright: skipped because its own program cannot be had here")
    assert run.returncode == 0, said
