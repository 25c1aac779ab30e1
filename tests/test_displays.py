"""The displays, drawn without a screen."""

import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import (
    BitWidthCurveDisplay,
    ConvergenceDisplay,
    DoubleSamplingQuantizer,
    LevelsDisplay,
    ZipMLLSSVC,
    ZipMLRegressor,
    recommend_bits,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def close_figures():
    """Every test draws its own; drawing is what shows that labels and limits work."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def data(n=300, d=6):
    """A linear target with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, X @ np.arange(1.0, d + 1) + rng.normal(size=n)


# Score and memory against bits


def test_bit_width_curve():
    """What is drawn are the mean scores, the memory, and full precision."""
    X, y = data()
    display = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, bits=[8, 1, 4], cv=3)
    assert display.test_scores.shape == (3, 3) and display.full_scores.shape == (3,)
    assert_array_equal(display.line_.get_xdata(), [1, 4, 8])
    assert_allclose(display.line_.get_ydata(), display.test_scores.mean(axis=1)[[1, 2, 0]])
    assert_allclose(display.full_line_.get_ydata(), display.full_scores.mean())
    heights = [bar.get_height() for bar in display.bars_]
    assert heights == sorted(heights)
    assert "KiB" in display.memory_ax_.get_ylabel()
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("sample_bits", "R²")
    assert list(display.ax_.get_xticks()) == [1, 4, 8]


def test_bit_width_curve_of_a_recommendation():
    """The evidence draws without another fit, and agrees with from_estimator."""
    X, y = data()
    found = recommend_bits(X, y, cv=3)
    display = BitWidthCurveDisplay.from_cv_results(found.cv_results_)
    other = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, cv=3)
    assert_array_equal(display.test_scores, other.test_scores)
    assert_array_equal(display.nbytes, other.nbytes)


def test_bit_width_curve_styles_and_axes():
    """Keywords win over defaults, by any alias; the axes may be given."""
    X, y = data()
    _, ax = plt.subplots()
    display = BitWidthCurveDisplay.from_estimator(
        make_pipeline(StandardScaler(), ZipMLLSSVC(random_state=0)),
        X,
        y > 0,
        param="zipmllssvc__model_bits",
        bits=[2, 8],
        cv=2,
        scoring="balanced_accuracy",
        ax=ax,
        line_kw={"c": "red", "ls": ":"},
        band_kw={"alpha": 0.5},
        full_kw={"lw": 3},
        bar_kw={"width": 0.1},
    )
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert display.line_.get_color() == "red" and display.line_.get_linestyle() == ":"
    assert display.band_.get_alpha() == 0.5 and display.full_line_.get_linewidth() == 3
    assert display.bars_[0].get_width() == pytest.approx(0.1)
    assert ax.get_ylabel() == "balanced accuracy" and ax.get_xlabel() == "model_bits"


# Levels


@pytest.mark.parametrize("sampling, count", [("compensated", 8), ("double", 4)])
def test_levels(sampling, count):
    """Levels are those of the quantizer; optimal ones cost less."""
    X = pd.DataFrame(np.random.default_rng(0).lognormal(size=(1000, 2)), columns=["a", "b"])
    quantizer = DoubleSamplingQuantizer(3, sampling=sampling, random_state=0)
    display = LevelsDisplay.from_estimator(quantizer, X, column="b")
    assert {kind: len(levels) for kind, levels in display.levels.items()} == {"optimal": count, "uniform": count}
    assert_array_equal(display.levels["optimal"], quantizer.fit(X).levels_[1])
    assert_array_equal([path[0, 0] for path in display.marks_["optimal"].get_segments()], quantizer.levels_[1])
    assert 0 < display.variances_["optimal"] < display.variances_["uniform"]
    assert display.ax_.get_xlabel() == "b"
    assert sum(bar.get_height() for bar in display.bars_) == 1000


def test_level_variance_is_that_of_rounding():
    """Measured on draws."""
    X = np.random.default_rng(0).normal(size=(20_000, 1))
    quantizer = DoubleSamplingQuantizer(2, random_state=0)
    display = LevelsDisplay.from_estimator(quantizer, X, bins=10, color="black", level_kw={"lw": 4})
    drawn = np.asarray(quantizer.fit_transform(X))
    assert display.variances_["optimal"] == pytest.approx(np.mean((drawn - X) ** 2) / X.var(), rel=0.05)
    assert len(display.bars_) == 10 and display.marks_["uniform"].get_linewidth() == [4]


@pytest.mark.parametrize("column", ["z", 9, -1, 1.5])
def test_levels_of_an_unknown_column(column):
    """The message says what there is."""
    with pytest.raises(ValueError, match=r"column=.*which has 6"):
        LevelsDisplay.from_estimator(DoubleSamplingQuantizer(), data()[0], column=column)


# Convergence


def test_convergence():
    """Loss against epochs and bytes; displays share axes."""
    X, y = data()
    first = ZipMLRegressor(2, random_state=0).fit(X, y)
    second = make_pipeline(StandardScaler(), ZipMLRegressor(None, random_state=0)).fit(X, y)
    display = ConvergenceDisplay.from_estimator(first)
    other = ConvergenceDisplay.from_estimator(second, axes=display.axes_, color="k")
    for line in display.lines_:
        assert_array_equal(line.get_ydata(), first.loss_curve_)
    assert_array_equal(display.lines_[0].get_xdata(), np.arange(first.n_iter_ + 1))
    assert_allclose(display.lines_[1].get_xdata() * 2**20, first.bytes_read_curve_)
    assert other.figure_ is display.figure_ and other.lines_[0].get_color() == "k"
    names = [text.get_text() for text in display.axes_[1].get_legend().get_texts()]
    assert names == ["2 bits", "float32"]


def test_convergence_errors():
    """Not fitted, or one axis."""
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(ZipMLRegressor())
    model = ZipMLRegressor(random_state=0).fit(*data())
    with pytest.raises(ValueError, match="two matplotlib Axes"):
        ConvergenceDisplay.from_estimator(model, axes=plt.subplots()[1])


def test_without_matplotlib(monkeypatch):
    """Everything but plotting works, and plotting says what is missing."""
    display = ConvergenceDisplay(losses=[2, 1], nbytes=[1, 2])
    levels = LevelsDisplay(values=[0, 1], levels={"optimal": [0, 1]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for drawn in (display, levels):
        with pytest.raises(ImportError, match=r"Display.plot.* requires matplotlib"):
            drawn.plot()
