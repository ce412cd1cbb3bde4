"""Compiles the hot modules with mypyc. Which ones, and everything else of the build, stands in pyproject.toml.

    python setup.py build_ext --inplace     into src/paxosstore/compiled; nothing, if they are compiled from these sources

Without a C compiler, or with PAXOSSTORE_PURE=1, the package is built pure: it works the same, slower.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = ROOT / "src" / "paxosstore"
TARGET = Path("build") / "mypyc"
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")
OPTIMIZE = "2"
"""Takes no longer than 1, and a turn takes some 5 % less."""
HIDDEN = "-fvisibility=hidden"
"""What is called in one library needs no name outside: such a call is a direct one."""

sys.path[:0] = [str(SOURCES)]
compiled = import_module("compiled")  # not by way of the package, which imports what is compiled here
sys.path.remove(str(SOURCES))


def listed() -> list[str]:
    """Paths in the package of the modules to compile."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["paxosstore"]
    found = {path for pattern in table["compiled"] for path in SOURCES.glob(pattern)}
    excluded = {path for pattern in table["interpreted"] for path in SOURCES.glob(pattern)}
    return sorted(path.relative_to(SOURCES).as_posix() for path in found - excluded if path.name != "__init__.py")


class Compile(build_ext):
    """Generates C, compiles it on all cores, and only what has changed; then writes the stamp."""

    def run(self) -> None:
        os.chdir(ROOT)
        if compiled.is_forced_pure():
            print(f"paxosstore: {compiled.PURE} is set: nothing is compiled", flush=True)
            return
        package = SOURCES if self.inplace or self.editable_mode else Path(self.build_lib) / "paxosstore"
        folder = package / "compiled"
        stamp = self._stamp()
        made_by = TARGET / "made-by"
        key = compiled.digest(Path(__file__).read_bytes()) + compiled.digest(stamp.encode())
        if _text(folder / compiled.STAMP) == stamp and _text(made_by) == key:
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / compiled.STAMP).unlink(missing_ok=True)
        compiler = _new_compiler()
        if not _compiles(compiler):
            print("paxosstore: no C compiler, or no Python.h: it is not compiled and runs pure (the same, slower)", flush=True)
            return
        modules = listed()
        print(f"paxosstore: compiling {len(modules)} modules, which takes a minute or two", flush=True)
        extensions = _generate([f"src/paxosstore/{path}" for path in modules])
        if self._stamp() != stamp:
            raise SystemExit("paxosstore: the sources have changed while they were compiled: do it again")
        _build(compiler, extensions, folder)
        (folder / compiled.STAMP).write_text(stamp)
        made_by.write_text(key)

    def _stamp(self) -> str:
        lines = [f"{compiled.digest((SOURCES / path).read_bytes())} {path}" for path in listed()]
        return "\n".join([SUFFIX, *lines, ""])

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _new_compiler() -> Any:
    from distutils import ccompiler
    from distutils import sysconfig as compiler_config

    compiler = ccompiler.new_compiler()
    compiler_config.customize_compiler(compiler)
    compiler.add_include_dir(sysconfig.get_paths()["include"])
    return compiler


def _compiles(compiler: Any) -> bool:
    from setuptools.errors import CompileError, ExecError, PlatformError

    with TemporaryDirectory() as folder:
        source = Path(folder) / "trial.c"
        source.write_text("#include <Python.h>\n")
        try:
            compiler.compile([str(source)], output_dir=folder)
        except (CompileError, ExecError, PlatformError):
            return False
    return True


def _generate(paths: list[str]) -> list[Extension]:
    """Have mypyc write its C. A mistake of the types ends the build."""
    os.environ["MYPYPATH"] = "src"
    from mypyc.build import mypycify

    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent", "--disable-error-code=no-any-return"]
    return mypycify(
        [*options, *paths],
        opt_level=OPTIMIZE,
        debug_level="0",
        multi_file=True,
        target_dir=str(TARGET),
        group_name="paxosstore",
    )


def _build(compiler: Any, extensions: list[Extension], folder: Path) -> None:
    """Compile what is older than its C or any header, and link each extension into its place."""
    objects = str(TARGET / "objects")
    places = [folder / (extension.name.removeprefix("paxosstore.").replace(".", "/") + SUFFIX) for extension in extensions]
    headers = max((file.stat().st_mtime for file in TARGET.rglob("*.h")), default=0.0)
    stale = []
    for extension in extensions:
        for source in extension.sources:
            made = Path(compiler.object_filenames([source], output_dir=objects)[0])
            made.parent.mkdir(parents=True, exist_ok=True)
            if not made.exists() or made.stat().st_mtime <= max(Path(source).stat().st_mtime, headers):
                stale.append((Path(source).stat().st_size, source, extension))

    def compile_one(job: tuple[int, str, Extension]) -> None:
        _, source, extension = job
        flags = [HIDDEN, *(flag for flag in extension.extra_compile_args if flag != "-Werror")]
        compiler.compile([source], output_dir=objects, include_dirs=extension.include_dirs, extra_postargs=flags)

    def link(extension: Extension, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        # under another name first: a process may have the old library in its memory
        new = f"{place}.new"
        compiler.link_shared_object(compiler.object_filenames(extension.sources, output_dir=objects), new)
        os.replace(new, place)

    stale.sort(key=lambda job: -job[0])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, stale))
        list(pool.map(link, extensions, places))
    for file in set(folder.rglob("*" + SUFFIX)) - set(places):
        file.unlink()


# What it is made of is known only once mypyc has run; that there is something makes the wheel one of this platform.
setup(
    cmdclass={"build_ext": Compile},
    ext_modules=[] if compiled.is_forced_pure() else [Extension(f"paxosstore.compiled.{compiled.SHARED}", [])],
)
