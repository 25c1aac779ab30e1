"""Where the codes of a tile lie, for every width, from the formula of csrc/format/tile.h."""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

PLANE_COLORS = ("#3c8dbc", "#f07f09", "#5aa469", "#c43b2e")
INK = ("white", "black")  # on the dark and the light group
LINE_BYTES = 64
WIDTHS = (8, 4, 2, 1)


def lines_of(width, groups):
    """For each line of 64 bytes, its bit fields from the lowest: (column group, plane)."""
    fields = 8 // width
    lines = {}
    for group in range(groups):
        for plane in range(4):
            lines.setdefault((group * 4 + plane) // fields, []).append((group, plane))
    return lines


def draw_tile(axis):
    """64 rows and the columns of two groups; each group has four planes of 16 rows x 4 columns, numbered through."""
    for group in range(2):
        for plane in range(4):
            axis.add_patch(
                Rectangle((4 * group, 16 * plane), 4, 16, color=PLANE_COLORS[plane], alpha=1 - 0.45 * group, lw=0)
            )
            label = f"plane {4 * group + plane}"
            axis.text(4 * group + 2, 16 * plane + 8, label, ha="center", va="center", color=INK[group], size=10)
    for column in range(9):
        axis.axvline(column, color="white", linewidth=0.5)
    for row in range(0, 65, 4):
        axis.axhline(row, color="white", linewidth=0.3)
    axis.axvline(4, color="black", linewidth=1)
    axis.set(
        xlim=(0, 8),
        ylim=(64, 0),
        xticks=[2, 6],
        yticks=[0, 16, 32, 48, 64],
        ylabel="rows of the tile",
        xlabel="columns",
    )
    axis.set_xticklabels(["0 to 3", "4 to 7"], size=10)
    axis.set_title("A tile of 64 rows", size=11)


def draw_lines(axis, width):
    """The 64-byte lines of two column groups, with the planes that share the bits of each byte."""
    lines = lines_of(width, groups=2)
    for line, fields in lines.items():
        for field, (group, plane) in enumerate(fields):
            left = 8 - (field + 1) * width
            axis.add_patch(Rectangle((left, line), width, 0.8, color=PLANE_COLORS[plane], alpha=1 - 0.45 * group, lw=0))
            axis.text(
                left + width / 2, line + 0.4, 4 * group + plane, ha="center", va="center", color=INK[group], size=9
            )
    axis.text(0, len(lines), "bit 7", ha="left", va="top", size=9)
    axis.text(8, len(lines), "bit 0", ha="right", va="top", size=9)
    axis.set(xlim=(0, 8), ylim=(8.3, 0), xticks=[], yticks=[line + 0.4 for line in lines])
    axis.set_yticklabels([f"line {line}" for line in lines], size=9)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title(f"{width} bits" if width > 1 else "1 bit", size=11)


def draw_line(axis):
    """One line of a plane: byte k holds row k // 4 and column k % 4."""
    for byte in range(LINE_BYTES):
        axis.add_patch(
            Rectangle(
                (byte, 0), 1, 1, facecolor=PLANE_COLORS[0], edgecolor="white", lw=0.5 if byte < 16 or byte >= 56 else 0
            )
        )
        if byte < 16 or byte >= 56:
            axis.text(byte + 0.5, 0.5, byte % 4, ha="center", va="center", color="white", size=8)
    for row in range(0, 16):
        axis.plot([4 * row, 4 * row], [0, 1.25], color="black", linewidth=0.8, clip_on=False)
        axis.text(4 * row + 2, 1.1, f"row {row}", ha="center", va="bottom", size=8)
    axis.plot([64, 64], [0, 1.25], color="black", linewidth=0.8, clip_on=False)
    axis.text(36, 0.5, "columns of the group, the fastest", ha="center", va="center", color="white", size=10)
    axis.set(xlim=(0, 64), ylim=(0, 1.3), yticks=[], xticks=[0, 16, 32, 48, 63])
    axis.set_xlabel("byte of the line", size=9)
    axis.tick_params(labelsize=9)
    axis.spines[["top", "left", "right"]].set_visible(False)


figure = plt.figure(figsize=(9.5, 6.4), layout="constrained")
grid = figure.add_gridspec(2, 6, height_ratios=(4, 1), width_ratios=(2, 0.3, 1, 1, 1, 1))
draw_tile(figure.add_subplot(grid[0, 0]))
for k, width in enumerate(WIDTHS):
    draw_lines(figure.add_subplot(grid[0, 2 + k]), width)
draw_line(figure.add_subplot(grid[1, :]))
