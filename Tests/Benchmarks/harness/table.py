"""The result of one row, and the table of all of them."""

from dataclasses import asdict, dataclass


@dataclass
class Row:
    """One measured quantity beside its baseline of the same minute.

    `ratio` is above 1 when dep2p is ahead, whichever way the unit counts; `wanted` is the limit to hold, as text,
    and `reached` says whether it is held (None: no limit set, or no baseline).
    """

    row: str
    what: str
    value: float | None
    unit: str
    baseline: str = ""
    baseline_value: float | None = None
    higher_is_better: bool = False
    wanted: str = ""
    reached: bool | None = None
    note: str = ""

    @property
    def ratio(self):
        if not self.value or not self.baseline_value:
            return None
        return self.value / self.baseline_value if self.higher_is_better else self.baseline_value / self.value

    def as_json(self):
        return asdict(self) | {"ratio": self.ratio}


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def render(rows):
    heads = ["row", "what", "dep2p", "unit", "baseline", "its value", "ratio", "wanted", ""]
    cells = [heads]
    for row in rows:
        mark = {True: "reached", False: "NOT reached", None: ""}[row.reached]
        cells.append([
            row.row, row.what, number(row.value), row.unit, row.baseline, number(row.baseline_value),
            f"{row.ratio:.2f}x" if row.ratio else "-", row.wanted, row.note or mark])
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    right = {2, 5, 6}
    lines = []
    for index, line in enumerate(cells):
        lines.append("  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths))).rstrip())
        if index == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)
