/**
 * A trace in qlog as a picture: window, bytes in flight and losses, and below them round trips, over time.
 *
 * The invariant to hold: the size of a picture follows from its width, not from the length of the trace.
 *
 * @module
 */

const RECORD_SEPARATOR = "\u001e";

/** Figures that last until the next one. */
interface Point {
  readonly ms: number;
  readonly value: number;
}

/** What is drawn of one path. */
export interface TraceSeries {
  readonly title: string;
  /** As the trace names it. */
  readonly path: string;
  /** All that are in the trace. */
  readonly paths: readonly string[];
  readonly endMs: number;
  readonly windowBytes: readonly Point[];
  readonly bytesInFlight: readonly Point[];
  readonly latestRttMs: readonly Point[];
  readonly smoothedRttMs: readonly Point[];
  /** When packages were found to be lost; those that tried a size are none. */
  readonly lossesMs: readonly number[];
  readonly probeTimeoutsMs: readonly number[];
  /** From when to when the window was held because of a loss. */
  readonly recoveries: readonly (readonly [fromMs: number, toMs: number])[];
  readonly packagesSent: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads a path of a trace, in either version: the busiest one, unless another is named. */
export function readTrace(text: string, path?: string): TraceSeries {
  const [header, ...events] = text
    .split(RECORD_SEPARATOR)
    .filter((record) => record.trim() !== "")
    .map((record) => JSON.parse(record) as Fields);
  if (header?.qlog_format !== "JSON-SEQ" && header?.serialization_format !== "application/qlog+json-seq") {
    throw new TypeError("This is no trace: it does not begin with the header of a qlog sequence");
  }
  const sent = new Map<string, number>();
  for (const event of events) {
    if (kindOf(event) === "packet_sent") sent.set(pathOf(event), (sent.get(pathOf(event)) ?? 0) + 1);
  }
  const paths = [...sent].sort((left, right) => right[1] - left[1]).map(([name]) => name);
  const chosen = path ?? paths[0] ?? "";
  const series = {
    windowBytes: [] as Point[],
    bytesInFlight: [] as Point[],
    latestRttMs: [] as Point[],
    smoothedRttMs: [] as Point[],
    lossesMs: [] as number[],
    probeTimeoutsMs: [] as number[],
    recoveries: [] as (readonly [number, number])[],
  };
  let endMs = 0;
  let recoveryMs: number | undefined;
  for (const event of events.filter((candidate) => pathOf(candidate) === chosen)) {
    const ms = Number(event.time);
    const data = event.data as Fields;
    const note = (points: Point[], value: unknown): void => {
      if (typeof value === "number") points.push({ ms, value });
    };
    switch (kindOf(event)) {
      case "packet_sent":
      case "packet_received":
        endMs = ms;
        break;
      case "metrics_updated":
        note(series.windowBytes, data.congestion_window);
        note(series.bytesInFlight, data.bytes_in_flight);
        note(series.latestRttMs, data.latest_rtt);
        note(series.smoothedRttMs, data.smoothed_rtt);
        break;
      case "packet_lost":
        if (data.is_mtu_probe_packet !== true) series.lossesMs.push(ms);
        break;
      case "timer_updated":
        if (data.timer_type === "pto" && data.event_type === "expired") series.probeTimeoutsMs.push(ms);
        break;
      case "congestion_state_updated":
        if (recoveryMs !== undefined) series.recoveries.push([recoveryMs, ms]);
        recoveryMs = data.new === "recovery" ? ms : undefined;
        break;
    }
  }
  if (recoveryMs !== undefined) series.recoveries.push([recoveryMs, endMs]);
  const title = String(header.title ?? "");
  return { ...series, title, path: chosen, paths, endMs, packagesSent: sent.get(chosen) ?? 0 };
}

/** What happened, without the prefixes that differ between the versions. */
function kindOf({ name }: Fields): string {
  const text = String(name);
  return text.slice(text.indexOf(":") + 1).replace(/^(?:recovery|loss)_/, "");
}

function pathOf({ group_id: group, tuple }: Fields): string {
  if (group !== undefined) return String(group);
  return `path ${tuple ?? 0}`;
}

const WIDTH = 900;
const HEIGHT = 480;
const LEFT = 64;
const RIGHT = WIDTH - 16;
const BYTES = { top: 84, bottom: 286 };
const TIMES = { top: 322, bottom: 442 };
const COLORS = { window: "#1f6f8b", inFlight: "#a8d5ba", latest: "#c9b6e4", smoothed: "#6a4c93", loss: "#d1495b" };
const TIMEOUT_COLOR = "#e08e00";
const TICKS_MAX = 8;

interface Scale {
  readonly max: number;
  readonly ticks: readonly number[];
  y(value: number): number;
}

/** Draws a trace as SVG. */
export function drawTrace(series: TraceSeries): string {
  const ticks = ticksUpTo(Math.max(series.endMs, 1));
  const x = (ms: number): number => round(LEFT + ((RIGHT - LEFT) * ms) / Math.max(series.endMs, 1));
  const bytes = scaleOf([series.windowBytes, series.bytesInFlight], BYTES, 1024);
  const times = scaleOf([series.latestRttMs, series.smoothedRttMs], TIMES, 1);
  const { lossesMs, probeTimeoutsMs, packagesSent, recoveries } = series;
  const about = [
    `${packagesSent} packages sent, ${lossesMs.length} lost, ${probeTimeoutsMs.length} probe timeouts`,
    series.paths.length > 1 ? `${series.path} of ${series.paths.length}` : "",
  ];
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
      `font-family="system-ui, sans-serif" font-size="12" fill="#444">`,
    `<title>${escaped(series.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    label(LEFT, 20, series.title, `font-size="14" font-weight="600" fill="#222"`),
    label(LEFT, 38, about.filter((text) => text !== "").join("; "), ""),
    legend(),
    ...recoveries.map(([from, to]) =>
      box(x(from), BYTES.top, Math.max(0.5, x(to) - x(from)), BYTES.bottom - BYTES.top, `fill="#fbe3e6"`),
    ),
    axis(bytes, BYTES, "KiB", 1024),
    axis(times, TIMES, "ms", 1),
    ...ticks.map((ms) => {
      const text = label(x(ms), TIMES.bottom + 18, ms >= 1000 || ms === 0 ? `${ms / 1000} s` : `${ms} ms`, MIDDLE);
      return `<path d="M${x(ms)} ${BYTES.top}V${BYTES.bottom}M${x(ms)} ${TIMES.top}V${TIMES.bottom}" ${GRID}/>${text}`;
    }),
    `<path d="${steps(series.bytesInFlight, series, x, bytes, "most")}V${BYTES.bottom}H${LEFT}z" ` +
      `fill="${COLORS.inFlight}" fill-opacity=".7"/>`,
    line(steps(series.windowBytes, series, x, bytes, "last"), COLORS.window, 1.6),
    line(steps(series.latestRttMs, series, x, times, "most"), COLORS.latest, 1),
    line(steps(series.smoothedRttMs, series, x, times, "last"), COLORS.smoothed, 1.6),
    line(marks(lossesMs, x, BYTES.top - 7, 7), COLORS.loss, 1),
    line(marks(probeTimeoutsMs, x, TIMES.top - 7, 7), TIMEOUT_COLOR, 1.5),
  ];
  return `${parts.join("\n")}\n</svg>\n`;
}

const GRID = `stroke="#e4e4e4" fill="none"`;
const MIDDLE = `text-anchor="middle"`;

function legend(): string {
  const items = [
    ["congestion window", COLORS.window],
    ["bytes in flight", COLORS.inFlight],
    ["packages lost", COLORS.loss],
    ["recovery from a loss", "#f3bfc6"],
    ["smoothed round trip", COLORS.smoothed],
    ["each one", COLORS.latest],
    ["probe timeout", TIMEOUT_COLOR],
  ] as const;
  let left = LEFT;
  return items
    .map(([text, color]) => {
      const item = box(left, 50, 10, 10, `fill="${color}"`) + label(left + 14, 59, text, `font-size="11"`);
      left += 34 + text.length * 5.5;
      return item;
    })
    .join("");
}

function axis(scale: Scale, area: { top: number; bottom: number }, unit: string, per: number): string {
  const rows = scale.ticks.map((value) => {
    const y = scale.y(value);
    const name = `${value / per}${value === scale.ticks.at(-1) ? ` ${unit}` : ""}`;
    return `<path d="M${LEFT} ${y}H${RIGHT}" ${GRID}/>${label(LEFT - 6, y + 4, name, `text-anchor="end"`)}`;
  });
  return `${rows.join("")}<path d="M${LEFT} ${area.top}V${area.bottom}H${RIGHT}" stroke="#888" fill="none"/>`;
}

/** A line of steps, at most one for each half of a unit: the last or the largest of what falls together. */
function steps(
  points: readonly Point[],
  { endMs }: TraceSeries,
  x: (ms: number) => number,
  scale: Scale,
  keep: "last" | "most",
): string {
  let path = "";
  let column = Number.NaN;
  let value = 0;
  let drawn = Number.NaN;
  const put = (): void => {
    const y = scale.y(value);
    if (y === drawn) return;
    path += path === "" ? `M${column} ${y}` : `H${column}V${y}`;
    drawn = y;
  };
  for (const point of points) {
    const next = Math.round(x(point.ms) * 2) / 2;
    if (next === column) value = keep === "most" ? Math.max(value, point.value) : point.value;
    else {
      if (!Number.isNaN(column)) put();
      column = next;
      value = point.value;
    }
  }
  if (Number.isNaN(column)) return `M${LEFT} ${scale.y(0)}`;
  put();
  return `${path}H${x(endMs)}`;
}

function marks(times: readonly number[], x: (ms: number) => number, top: number, height: number): string {
  const columns = new Set(times.map((ms) => Math.round(x(ms) * 2) / 2));
  return [...columns].map((column) => `M${column} ${top}v${height}`).join("");
}

function scaleOf(of: readonly (readonly Point[])[], area: { top: number; bottom: number }, unit: number): Scale {
  let most = unit;
  for (const points of of) for (const { value } of points) if (value > most) most = value;
  const ticks = ticksUpTo(most / unit).map((tick) => tick * unit);
  const max = most * 1.05;
  return { max, ticks, y: (value) => round(area.bottom - ((area.bottom - area.top) * value) / max) };
}

/** From 0 in steps of 1, 2 or 5 times a power of ten. */
function ticksUpTo(most: number): number[] {
  const power = 10 ** Math.floor(Math.log10(most / TICKS_MAX));
  const step = ([1, 2, 5, 10].find((factor) => most / (factor * power) <= TICKS_MAX) ?? 10) * power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

function line(path: string, color: string, width: number): string {
  return `<path d="${path}" fill="none" stroke="${color}" stroke-width="${width}"/>`;
}

function box(x: number, y: number, width: number, height: number, attributes: string): string {
  return `<rect x="${round(x)}" y="${y}" width="${round(width)}" height="${height}" ${attributes}/>`;
}

function label(x: number, y: number, text: string, attributes: string): string {
  return `<text x="${round(x)}" y="${y}" ${attributes}>${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
