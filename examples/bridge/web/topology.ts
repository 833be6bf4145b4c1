/**
 * The live picture: nodes, relay, the path of each session, its round trip and bytes; and the same as a table.
 *
 * @module
 */

import type { Node } from "../../../adapters/api/types.ts";
import { byId, formatBytes, make } from "./elements.ts";
import type { People } from "./people.ts";

const EVERY_MS = 1_000;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 300;

interface Place {
  readonly x: number;
  readonly y: number;
}

/** Draws once a second as long as the page is visible. */
export function showTopology(node: Node, people: People): void {
  const draw = async (): Promise<void> => {
    for (const peer of node.peers.values()) {
      // A round trip that is measured, not remembered.
      if (peer.state === "connected") void peer.ping({ timeoutMs: 5_000 }).catch(() => undefined);
    }
    const elsewhere = await circuitsElsewhere();
    drawTable(node, people);
    drawPicture(node, people, elsewhere);
  };
  setInterval(() => {
    if (document.visibilityState === "visible") void draw();
  }, EVERY_MS);
  void draw();
}

async function circuitsElsewhere(): Promise<{ a: string; b: string }[]> {
  try {
    const response = await fetch("/topology.json");
    const { circuits } = (await response.json()) as { circuits: { a: string; b: string }[] };
    return circuits.slice(0, 200);
  } catch {
    return []; // The relay is away.
  }
}

function drawTable(node: Node, people: People): void {
  const rows = [...node.peers.values()].flatMap((peer) =>
    peer.stats().paths.map((path) => {
      const row = make("tr");
      const kind = path.kind === "relay" ? "through the relay" : `direct, ${path.remote}`;
      const rtt = path.rttMs === undefined ? "–" : `${path.rttMs.toFixed(1)} ms`;
      for (const text of [
        people.nameOf(peer.id),
        kind,
        rtt,
        formatBytes(path.bytesSent),
        formatBytes(path.bytesReceived),
      ]) {
        row.append(make("td", { text }));
      }
      return row;
    }),
  );
  const suspended = [...node.peers.values()].filter((peer) => peer.state === "suspended");
  for (const peer of suspended) {
    const row = make("tr");
    row.append(make("td", { text: people.nameOf(peer.id) }));
    row.append(make("td", { text: "no path: waiting for one", attributes: { colspan: "4" } }));
    rows.push(row);
  }
  if (rows.length === 0) {
    const row = make("tr");
    row.append(make("td", { text: "No session yet", attributes: { colspan: "5" } }));
    rows.push(row);
  }
  byId<HTMLTableSectionElement>("sessions").replaceChildren(...rows);
}

function drawPicture(node: Node, people: People, elsewhere: readonly { a: string; b: string }[]): void {
  const picture: SVGSVGElement = byId("picture");
  const relay: Place = { x: WIDTH / 2, y: HEIGHT / 2 };
  const ids = [node.id, ...people.others.map(({ id }) => id)].slice(0, 24);
  const places = new Map<string, Place>(
    ids.map((id, index) => {
      const angle = Math.PI / 2 + (2 * Math.PI * index) / ids.length;
      return [id, { x: relay.x + 250 * Math.cos(angle), y: relay.y + 108 * Math.sin(angle) }];
    }),
  );
  const shapes: SVGElement[] = [];
  for (const place of places.values()) shapes.push(line(place, relay, ""));
  for (const { a, b } of elsewhere) {
    const [from, to] = [places.get(a), places.get(b)];
    if (from !== undefined && to !== undefined && a !== node.id && b !== node.id) {
      shapes.push(line(from, relay, "session faint"), line(relay, to, "session faint"));
    }
  }
  const own = places.get(node.id) as Place;
  for (const peer of node.peers.values()) {
    const place = peer.id === undefined ? undefined : places.get(peer.id);
    if (place === undefined) continue;
    const [path] = peer.stats().paths;
    if (path === undefined) continue;
    if (path.kind === "relay") shapes.push(line(own, relay, "session"), line(relay, place, "session"));
    else shapes.push(line(own, place, "session"));
    const rtt = path.rttMs === undefined ? "" : `${path.rttMs.toFixed(0)} ms · `;
    const text = `${rtt}${formatBytes(path.bytesSent + path.bytesReceived)}`;
    shapes.push(label({ x: (relay.x + place.x) / 2, y: (relay.y + place.y) / 2 - 6 }, text, "label"));
  }
  shapes.push(circle(relay, 15, "relay"), label({ x: relay.x, y: relay.y + 32 }, "relay", ""));
  for (const [id, place] of places) {
    shapes.push(circle(place, 11, ""));
    const name = id === node.id ? "you" : people.nameOf(id);
    const below = place.y > relay.y ? 28 : -18;
    shapes.push(label({ x: place.x, y: place.y + below }, name.slice(0, 16), ""));
  }
  picture.replaceChildren(...shapes);
}

function line(from: Place, to: Place, className: string): SVGElement {
  return shape("line", { x1: from.x, y1: from.y, x2: to.x, y2: to.y, class: className });
}

function circle(at: Place, r: number, className: string): SVGElement {
  return shape("circle", { cx: at.x, cy: at.y, r, class: className });
}

function label(at: Place, text: string, className: string): SVGElement {
  const element = shape("text", { x: at.x, y: at.y, class: className });
  element.textContent = text;
  return element;
}

function shape(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
