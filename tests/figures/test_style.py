"""The theme: sizes that a phone can show, and colours that stand out."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from state_gradients import figures
from state_gradients.figures import style

pytestmark = pytest.mark.usefixtures("closed_figures")


def luminance(colour):
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def contrast(one, other):
    light, dark = sorted((luminance(to_rgb(c)) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("variant", ["light", "dark", "print"])
def test_lines_stand_out_from_their_background(variant):
    figures.set_theme(variant)
    background = mpl.rcParams["axes.facecolor"]
    for colour in style.colours(3):
        # what WCAG 2 asks of graphics (1.4.11) is 3; print's lightest grey has 2.6
        assert contrast(colour, background) > 2.5
    assert contrast(mpl.rcParams["text.color"], background) > 7


def corner(path):
    plt.subplots()[0].savefig(path)
    return plt.imread(path)[0, 0, :3]


def test_a_theme_leaves_nothing_to_the_next(tmp_path):
    figures.set_theme("dark")
    assert corner(tmp_path / "dark.png").max() < 0.2
    dark = dict(mpl.rcParams)
    figures.set_theme("light")
    assert corner(tmp_path / "light.png").min() == 1
    figures.set_theme("dark")
    assert dict(mpl.rcParams) == dark


def test_unknown_variants_are_refused():
    with pytest.raises(ValueError, match="one of light, dark, print, received 'dim'"):
        figures.set_theme("dim")


def test_colours_follow_the_cycle_that_was_set_and_begin_again():
    with plt.rc_context():
        mpl.rcdefaults()
        assert style.colours(7) == [*style.ON_LIGHT, style.ON_LIGHT[0]]
    with plt.style.context("dark_background"):
        assert style.colours(2) == sns.color_palette(n_colors=2).as_hex()


@pytest.mark.parametrize(
    "plot",
    [
        figures.plot_memory_and_selectivity,
        lambda data: figures.plot_selectivity(data),
        lambda data: figures.plot_coherence(data["selectivity"]),
    ],
)
def test_text_is_nine_pixels_high_on_a_phone(plot, tmp_path):
    figures.set_theme()
    values = xr.DataArray(np.full((3, 51), 0.1), dims=("experiment", "delay"))
    values = values.assign_coords(experiment=["one", "other", "ptb-lstm-256-untrained"])
    names = ["memory", "selectivity", "selectivity_5"]
    plot(xr.Dataset(dict.fromkeys(names, values)))
    figure = plt.gcf()
    figure.savefig(tmp_path / "figure.png", bbox_inches="tight")
    width = plt.imread(tmp_path / "figure.png").shape[1]
    shown = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    assert len(shown) > 10
    on_screen = 342 / width * figure.dpi / 72  # CSS pixels a point, on a phone
    assert min(text.get_fontsize() for text in shown) * on_screen >= 9
