"""From files to packages, from packages to the answer."""

from dask_dispatcher.demo import files, reductions
from dask_dispatcher.demo.files import SourceFile
from dask_dispatcher.demo.imports import Links
from dask_dispatcher.demo.source import Measure


def measured(module: str, lines: int, longest: int | None = None) -> Measure:
    function = {"name": "f", "line": 1, "lines": longest or 0, "branches": 1}
    return Measure(
        module=module,
        lines=lines,
        code=lines // 2,
        functions=3,
        classes=1,
        branches=2,
        depth=lines % 7,
        longest=function if longest else None,
    )


def links(module: str, *at_import: str, deferred: tuple[str, ...] = ()) -> Links:
    return Links(module=module, at_import=[*at_import], deferred=[*deferred], typing=[], outside=[])


PACKAGES = [
    reductions.summarise(
        "p",
        [measured("p.a", 100, 10), measured("p.b", 300, 5)],
        [links("p.a", "p.b", "os"), links("p.b", "p.a", deferred=("os",))],
    ),
    reductions.summarise("q", [measured("q", 200)], [links("q", "os", "p.a")]),
]


def test_totals_are_the_sums() -> None:
    assert reductions.total(PACKAGES) == {
        "packages": 2,
        "files": 3,
        "lines": 600,
        "code": 300,
        "functions": 9,
        "classes": 3,
        "branches": 6,
    }


def test_the_largest_come_first() -> None:
    assert [p["name"] for p in reductions.biggest_packages(PACKAGES)] == ["p", "q"]
    assert [f["module"] for f in reductions.largest_files(PACKAGES)] == ["p.b", "q", "p.a"]
    assert [f["module"] for f in reductions.deepest_files(PACKAGES)] == ["p.b", "q", "p.a"]
    assert [f["module"] for f in reductions.longest_functions(PACKAGES)] == ["p.a", "p.b"]


def test_a_package_keeps_only_its_largest() -> None:
    many = [measured(f"m{i:03}", i, 1000 - i) for i in range(1, 101)]
    package = reductions.summarise("many", many, [])
    assert [f["lines"] for f in package["largest"]] == [*range(100, 90, -1)]
    assert [f["lines"] for f in package["longest"]] == [*range(999, 989, -1)]
    assert package["sums"]["files"] == 100


def test_questions_about_imports() -> None:
    joined = reductions.join_links(PACKAGES)
    assert reductions.most_imported(joined) == [
        {"module": "os", "importers": 3, "at_import": 2},
        {"module": "p.a", "importers": 2, "at_import": 2},
        {"module": "p.b", "importers": 1, "at_import": 1},
    ]
    assert reductions.import_cycles(joined) == [["p.a", "p.b"]]
    assert reductions.most_tangled(joined)[0] == {"module": "p.a", "fan_in": 2, "fan_out": 2}


def test_an_empty_census_has_an_answer() -> None:
    assert reductions.total([])["files"] == 0
    assert reductions.largest_files([]) == []
    assert reductions.import_cycles(reductions.join_links([])) == []


def test_names_of_files() -> None:
    module = SourceFile("/x/email/mime/text.py", "email/mime/text.py")
    assert (module.module, module.package) == ("email.mime.text", "email.mime")
    package = SourceFile("/x/email/__init__.py", "email/__init__.py")
    assert (package.module, package.package) == ("email", "email")
    top = SourceFile("/x/os.py", "os.py")
    assert (top.module, top.package) == ("os", "")


def test_the_standard_library_is_found() -> None:
    found = files.stdlib_files()
    names = [file.name for file in found]
    assert names == sorted(set(names))
    assert {"os.py", "email/__init__.py", "asyncio/tasks.py"} <= set(names)
    assert not any("site-packages" in file.path for file in found)
    assert len(found) > 300
