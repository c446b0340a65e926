"""docs/performance.md: tables of what was measured, and sentences that follow from the numbers."""

import statistics

MS = 1000


class Page:
    """Markdown, paragraph by paragraph."""

    def __init__(self):
        self.parts = []

    def heading(self, text, level=2):
        self.parts.append(f"{'#' * level} {text}")

    def say(self, *sentences):
        self.parts.append("\n".join(sentences))

    def table(self, head, rows, left=1):
        lines = [f"| {' | '.join(head)} |", "|" + "|".join(["---"] * left + ["--:"] * (len(head) - left)) + "|"]
        lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
        self.parts.append("\n".join(lines))

    def text(self):
        return "\n\n".join(self.parts) + "\n"


def ms(seconds):
    value = seconds * MS
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def factor(value):
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def mib(kib):
    return f"{kib / 1024:.1f}"


def kib(count):
    return "not recorded" if count is None else f"{count / 1024:,.0f}"


def so_many(count, unit):
    """A number with its unit, which loses its s at one."""
    return f"{count:,} {unit[:-1] if count == 1 and unit.endswith('s') else unit}"


def slope(points, value):
    """The least-squares slope of `value` over the axis."""
    xs, ys = [point.at for point in points], [value(point) for point in points]
    middle = statistics.fmean(xs)
    return sum((x - middle) * y for x, y in zip(xs, ys)) / sum((x - middle) ** 2 for x in xs)


def named(way):
    """The name of a contestant, as code where it is a command line."""
    return f"`{way}`" if way.startswith("bootbank ") else way


def ways(page, rows):
    """A table of contestants; the first is what the others are compared with."""
    head = ["", "time, ms", "processor, ms", "time, ratio", "processor, ratio", "memory, MiB", "sectors changed"]
    lines = [
        (
            named(name), ms(times.median()), ms(times.median("cpu")), factor(times.ratio(first)),
            factor(times.ratio(first, "cpu")), mib(times.peak), sectors,
        )
        for name, times, first, sectors in rows
    ]  # fmt: skip
    if not any(sectors for *_, sectors in lines):
        head, lines = head[:-1], [line[:-1] for line in lines]
    page.table(head, lines)


def floor_sentences(rows, recording, sync_cost):
    """What of a run is the floor, and what the floor is made of."""
    by_name = {name: times for name, times, _, _ in rows}
    lowest = next((times for name, times in by_name.items() if name.startswith("floor")), None)
    if not lowest:
        return ["The floor was not measured: strace may not trace here."]
    own, counts = by_name["bootbank fix"], recording.counts
    over = own.median() - lowest.median()
    said = [
        f"The floor reads {counts['reads']} times ({kib(counts['bytes read'])} KiB), writes {counts['writes']} times "
        f"({kib(counts['bytes write'])} KiB) and syncs {counts['syncs']} times, as `bootbank fix` does; it leaves the same "
        "bytes.",
        f"`bootbank fix` takes {factor(own.ratio(lowest))} times as long: {ms(over)} ms more, for "
        f"{ms(own.median('cpu') - lowest.median('cpu'))} ms more of the processor.",
    ]
    share = counts["syncs"] * sync_cost / own.median()
    if share > 0.02:
        said.append(
            f"{counts['syncs']} syncs at {ms(sync_cost)} ms would be {share:.0%} of the time of `bootbank fix`."
        )
    return said


def growth(points, command, unit, per, value=lambda times: times.median("cpu")):
    """Says whether processor time grows along an axis, and by how much."""
    first, last = points[0], points[-1]
    low, high = value(first.times[command]), value(last.times[command])
    ratio = high / low if low else float("inf")
    wide = f"From {first.at:,} to {last.at:,} {unit} the processor time of `{command}`"
    if ratio < 1.25:
        return f"{wide} stays as it is, but for a quarter at most ({ms(low)} and {ms(high)} ms)."
    grown = slope(points, lambda point: value(point.times[command]))
    return f"{wide} grows {factor(ratio)}-fold: {ms(grown)} ms for each {per} more."


def reads(points, unit):
    """What fix reads along an axis, which explains the slope."""
    first, last = points[0], points[-1]
    if first.read is None:
        return "What `fix` reads was not recorded: strace may not trace here."
    return (
        f"`fix` reads {kib(first.read)} KiB at {so_many(first.at, unit)} and {kib(last.read)} KiB at "
        f"{so_many(last.at, unit)}."
    )


def memory_growth(points, command, unit):
    first, last = points[0].times[command].peak, points[-1].times[command].peak
    return (
        f"The memory of `{command}` at its peak is {mib(first)} MiB at {so_many(points[0].at, unit)} "
        f"and {mib(last)} MiB at {so_many(points[-1].at, unit)}."
    )


def axis(page, points, head, more=()):
    """A table along an axis: time, processor time and memory for each command."""
    commands = list(points[0].times)
    titles = [head]
    for name in commands:
        titles += [f"`{name}`, ms", "processor, ms", "MiB"]
    rows = []
    for point in points:
        row = [f"{point.at:,}"]
        for name in commands:
            times = point.times[name]
            row += [ms(times.median()), ms(times.median("cpu")), mib(times.peak)]
        rows.append(row + [tell(point) for _, tell in more])
    page.table(titles + [title for title, _ in more], rows, left=0)


def targets(page, points, left_out):
    rows = []
    for point in points:
        one, two = point.times["-j 1"], point.times["-j 2"]
        rows.append(
            (
                f"{point.at:,}", ms(one.median()), ms(two.median()), ms(one.median() / point.at),
                ms(two.median() / point.at), factor(one.ratio(two)), ms(two.median("cpu") / point.at), mib(one.peak),
                mib(two.peak),
            )
        )  # fmt: skip
    page.table(
        [
            "targets", "`-j 1`, ms", "`-j 2`, ms", "`-j 1`, ms each", "`-j 2`, ms each", "gain of `-j 2`",
            "processor, ms each", "`-j 1`, MiB", "`-j 2`, MiB",
        ],
        rows, left=0,
    )  # fmt: skip
    first, last = points[0], points[-1]
    gain = last.times["-j 1"].ratio(last.times["-j 2"])
    said = [
        f"One target more costs {ms(slope(points, lambda p: p.times['-j 1'].median()))} ms at `-j 1` and "
        f"{ms(slope(points, lambda p: p.times['-j 2'].median()))} ms at `-j 2`; "
        f"a run with one target alone takes {ms(first.times['-j 1'].median() / first.at)} ms, its start included.",
        f"At {last.at:,} targets `-j 1` takes {factor(gain)} times as long as `-j 2`.",
        memory_growth(points, "-j 2", "targets"),
    ]
    if left_out:
        numbers = ", ".join(f"{number:,}" for number in left_out)
        said.append(f"Left out, since their syncs alone would take more than a minute: {numbers} targets.")
    page.say(*said)
