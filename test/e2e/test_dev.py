"""./dev, as somebody with a fresh clone finds it."""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]


def test_dev_build_makes_every_module_that_the_program_loads():
    modules = re.findall(r"shared_module\('([^']+)'", (TOP / "meson.build").read_text())
    built = re.search(r"^\tninja -C build (eilpost .*?)(#.*)?$", (TOP / "dev").read_text(), re.M).group(1)
    assert modules
    assert [m for m in modules if f"{m}.so" not in built.split()] == []
