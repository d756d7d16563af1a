"""Cells of the papers' tables at part of their epochs, and figure 8 of Ren et al. 2022."""

from pathlib import Path

import pytest
import runs

from benchmarks.variance_laws import KINDS, Layer, Point, law, simulate
from fgspec.loading.spec_file import load
from fgspec.results.cells import Asked, cells_of, comparison, table_at, unverified
from fgspec.sweeps.folder import Planned, RunStatus

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"


def asked(columns=(), rows=(), budget=1.0, seeds=(0,)):
    return Asked(columns, rows, budget, seeds)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_a_table_is_a_folder_of_specs_or_of_sweeps():
    assert list(table_at(SPECS, "ren2022/table3")) == [
        *["cifar10_m_8_16", "imagenet_l_32_64", "mnist_m_1_16", "mnist_s_1_1"]
    ]
    assert list(table_at(SPECS, "ren2022/table5")) == ["contrastive_m_8_16", "supervised_m_8_16"]
    assert list(table_at(SPECS, "ren2022/figure4")) == ["figure4"]
    assert list(table_at(SPECS, "fournier2023/resnet18_8")) == ["resnet18_8"]


def test_cells_are_those_asked_for_in_that_order():
    table = table_at(SPECS, "ren2022/table3")
    found = cells_of(table, asked(("mnist_s_1_1", "mnist_m_1_16"), ("lg_bp", "bp"), seeds=(4, 5)))
    assert [cell.label for cell in found] == [
        *["mnist_s_1_1.lg_bp", "mnist_s_1_1.bp", "mnist_m_1_16.lg_bp", "mnist_m_1_16.bp"]
    ]
    assert [cell.arm.loaded.experiment.architecture.channels for cell in found] == [256] * 2 + [
        512
    ] * 2
    assert {cell.arm.loaded.experiment.seed for cell in found} == {4}


def test_the_budget_scales_all_that_counts_epochs_and_nothing_else():
    file = SPECS / "ren2022" / "table4" / "cifar10_m_8_16" / "bp.yaml"
    table = {"m": [file]}
    (cell,) = cells_of(table, asked(budget=0.01))
    whole, part = load(file).values(), cell.arm.loaded.values()
    assert part["training"]["epochs"] == 10
    assert part["training"]["evaluate_every"]["epochs"] == 1
    assert part["training"]["log_every"] == whole["training"]["log_every"]  # counted in steps
    assert part["checkpoint"]["every"]["epochs"] == 1
    assert part["optimizer"]["schedule"]["warmup_epochs"] == 0
    assert (
        part["expect"].pop("source") == whole["expect"].pop("source") + "; here 10 of 1000 epochs"
    )
    for values in (whole, part):
        for section in ("training", "checkpoint"):
            del values[section]
        del values["optimizer"]["schedule"]
    assert part == whole
    (same,) = cells_of(table, asked())
    assert same.arm.loaded.values() == load(file).values()


def test_the_papers_number_stands_beside_the_mean_over_seeds(tmp_path):
    specs = [runs.write_spec(tmp_path)]
    specs[0].write_text(
        specs[0].read_text()
        + "expect: {metric: test/error, value: 0.0266, tolerance: 0.01, source: a paper}\n"
    )
    cells = cells_of({"c": specs}, asked(seeds=(0, 1)))

    def found(seed, state, error):
        planned = Planned("c.small", seed, "small", "", 25)
        return RunStatus(planned, state, None, 25, {"test/error": error})

    done = [found(0, "done", 0.0300), found(1, "done", 0.0320)]
    assert comparison(cells, done)[2].split() == ["small", "2.66%", "3.10%", "±", "0.14", "+0.44"]
    assert comparison(cells, done[:1])[2].split() == ["small", "2.66%", "3.00%", "+0.34"]
    assert comparison(cells, [found(0, "failed", 0.9)])[2].split() == ["small", "2.66%", "failed"]


def test_numbers_that_nobody_verified_have_a_star(tmp_path):
    plain = runs.write_spec(tmp_path)
    starred = plain.with_name("starred.yaml")
    expect = "metric: test/error, value: 0.0266, tolerance: 0.01, source: a paper"
    starred.write_text(plain.read_text() + f"expect: {{{expect}, verified: false}}\n")
    plain.write_text(plain.read_text() + f"expect: {{{expect}}}\n")
    cells = cells_of({"c": [plain, starred]}, asked())
    lines = comparison(cells, [])
    assert [line.split() for line in lines[2:4]] == [["small", "2.66%"], ["starred", "2.66%", "*"]]
    assert lines[4:] == unverified(cells)
    assert lines[4].endswith("c.starred")
    assert unverified(cells[:1]) == []


def test_names_that_are_in_no_table_are_told(fgspec):
    name = "ren2022/table3"
    for arguments, line in {
        ("ren2022/tabel3",): "ren2022/tabel3: there is no such table in specs/; did you mean "
        "ren2022/table3?",
        (name, "--columns", "mnist_s_1"): "--columns mnist_s_1: is not in this table; did you mean "
        "mnist_s_1_1?",
        (name, "--rows", "lg_bo"): "--rows lg_bo: is not in this table; did you mean lg_bp?",
        (
            name,
            "--specs",
            "s",
        ): "--specs s: no such folder; give the folder `specs` of fgspec's repository",
        (name, "--seeds", "a"): "--seeds a: must be whole numbers, such as 0,1,2",
    }.items():
        assert fgspec("reproduce", *arguments) == (2, "", f"reproduce: {line}\n")


def test_the_list_says_what_cells_would_cost(fgspec):
    code, out, _ = fgspec(
        *["reproduce", "ren2022/table6", "--columns", "supervised_m_8_16", "--list"],
        *["--rows", "begin_block-bp", "--budget", "0.1", "--seeds", "0,1"],
    )
    assert code == 0
    assert out.splitlines()[0] == "reproduce-ren2022-table6: 1 arm x 2 seeds"
    assert "7,800" in out  # a tenth of 200 epochs of 390 updates


@pytest.mark.parametrize("layer", [Layer(8, 3, 4), Layer(2, 3, 2)])
def test_simulated_variances_are_those_of_the_laws(layer):
    found = simulate(layer)
    assert set(found) == set(KINDS)
    off = {str(kind): point.simulated / point.theory - 1 for kind, point in found.items()}
    assert {kind: value for kind, value in off.items() if abs(value) > 0.1} == {}


def test_laws_are_those_of_table_1():
    """Ren et al. 2022: coefficients of V / N and of S, normal noise."""
    layer, weight, activity = Layer(8, 3, 4), 3 * 4, 4
    for moved, space in ((weight, "weight"), (activity, "activation")):
        shared, own = (k for k in KINDS[:4] if k.space == space)
        assert law(shared, layer, 1.0, 0.0) == law(own, layer, 1.0, 0.0) == (moved + 2) / 8
        assert law(shared, layer, 0.0, 1.0) == moved + 1
        assert law(own, layer, 0.0, 1.0) == (moved + 1) / 8


def test_figure_8_is_drawn_with_its_deviations(monkeypatch, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import law_figure

    points = {kind: Point(2.0, 2.0 + 0.1 * index) for index, kind in enumerate(KINDS)}
    monkeypatch.setattr(law_figure, "simulate", lambda layer: points)
    picture = tmp_path / "figure8.png"
    law_figure.figure8(picture)
    assert "1.050 to 1.050" in capsys.readouterr().out.splitlines()[2]
    assert picture.read_bytes().startswith(b"\x89PNG")
