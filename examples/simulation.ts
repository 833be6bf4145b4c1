/**
 * A minute on a simulated network in a few milliseconds: one node reports to another one, the network between them is
 * down for a while, and every report arrives once and in order. The same seed tells the same story, to the byte.
 *
 * @module
 */

import type { NodeEvent } from "../core/mod.ts";
import {
  DEFAULT_ENDPOINT_LIMITS,
  DEFAULT_NODE_LIMITS,
  DEFAULT_SESSION_CONFIG,
  identityFromSeed,
  NodeMachine,
  nobleProvider,
} from "../core/mod.ts";
import { dangerousSimEnvironments, SimNetwork } from "../sim/mod.ts";

const environmentOf = await dangerousSimEnvironments();

/** Runs the story of a seed: what arrived, and the hash of all that happened. */
function story(seed: number): { readonly arrived: number[]; readonly hash: string } {
  const network = new SimNetwork({ seed, model: { delayMs: 20 } });
  const add = (name: string, key: number) => {
    const identity = identityFromSeed(new Uint8Array(32).fill(key), nobleProvider);
    const endpoint = { identity, session: DEFAULT_SESSION_CONFIG, limits: DEFAULT_ENDPOINT_LIMITS };
    const config = { endpoint, limits: DEFAULT_NODE_LIMITS, name: undefined, token: undefined, about: "" };
    const node = new NodeMachine(config, environmentOf(network.random.next()), network.now);
    const host = network.addHost(name, node); // dialled as tcp://name:1
    const events: NodeEvent[] = [];
    host.onEvent = (event) => events.push(event as NodeEvent);
    return { identity, node, host, events };
  };
  const [sensor, station] = [add("sensor", 1), add("station", 2)];

  sensor.node.connect({ id: station.identity.id, addresses: ["tcp://station:1"], relays: [] }, {}, network.now);
  sensor.host.pump(); // after each command: what it caused goes out
  network.run(1_000);
  const connected = sensor.events.find((event) => event.type === "connected");
  if (connected?.type !== "connected") throw new Error("The sensor could not connect");

  for (let second = 0; second < 60; second++) {
    network.plan(second * 1_000 + 2_000, () => {
      sensor.node.sendMessage(connected.session, "report", Uint8Array.of(second), network.now);
      sensor.host.pump();
    });
  }
  network.plan(15_500, () => network.partition("sensor", "station"));
  network.plan(40_500, () => network.heal("sensor", "station"));
  network.run(120_000);

  const arrived = station.events.flatMap((event) => (event.type === "message" ? [event.bytes[0] as number] : []));
  return { arrived, hash: network.hash };
}

const { arrived, hash } = story(7);
console.log(
  arrived.length,
  "reports, in order:",
  arrived.every((report, index) => report === index),
);
console.log("told again, the same:", story(7).hash === hash, "with another seed:", story(8).hash === hash);
