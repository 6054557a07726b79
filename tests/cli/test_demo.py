"""``dask dispatch demo``: a real run with a report."""

from tests.cli.conftest import parsed


def test_the_demo_on_its_embedded_default(dask_dispatch, folder):
    done = dask_dispatch("demo", "--limit", "20")
    assert done.returncode == 0, done.stderr
    assert "20 files in" in done.stdout
    assert "Open the report: dispatch-demo.html" in done.stdout
    assert "nodes, 10 failed" in done.stderr
    report = (folder / "dispatch-demo.html").read_text()
    assert "null_byte.py" in report


def test_json_and_an_earlier_report(dispatch_here, folder):
    arguments = ("demo", "--executor", "async", "--limit", "5", "--json", "--no-progress")
    record = parsed(dispatch_here(*arguments))
    assert record["totals"]["files"] == 5
    assert record["err"] == 6
    assert dispatch_here(*arguments).exit_code == 0
    (folder / "dispatch-demo.html").write_text("my own")
    refused = dispatch_here(*arguments)
    assert refused.exit_code == 2
    assert "use --force" in refused.stderr
    assert dispatch_here(*arguments, "--force").exit_code == 0


def test_a_named_report_is_not_replaced(dispatch_here):
    arguments = (
        "demo",
        "--executor",
        "async",
        "--limit",
        "5",
        "--no-progress",
        "--report",
        "mine.html",
    )
    assert dispatch_here(*arguments).exit_code == 0
    assert dispatch_here(*arguments).exit_code == 2
