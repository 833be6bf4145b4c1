/**
 * What a session over datagrams must stand, on the link of the QUIC interop runner (10 Mbit/s, 15 ms one way, a queue
 * of 25 packages): each with its bound, in virtual time.
 *
 * @module
 */

import type { Environment } from "../../core/machine.ts";
import type { DatagramLinkOptions } from "../../sim/datagram_link.ts";
import type { DatagramPair } from "./datagram_pair.ts";
import { connectPair, datagramPair, INTEROP_LINK, transfer } from "./datagram_pair.ts";

/** Makes the environment of a machine from a seed. */
export type EnvironmentOf = (seed: number) => Environment;

/** A scenario. */
export interface Scenario {
  readonly name: string;
  /** The bound, for people. */
  readonly bound: string;
  /** Runs it; the figure is `undefined` when it came to nothing. */
  run(environmentOf: EnvironmentOf): number | undefined;
  readonly unit: string;
  isWithin(figure: number): boolean;
}

const MB = 1_000_000;

function pairOn(environmentOf: EnvironmentOf, seed: number, link: Partial<DatagramLinkOptions> = {}): DatagramPair {
  return datagramPair(seed, environmentOf, { link: { ...INTEROP_LINK, ...link } });
}

function connected(environmentOf: EnvironmentOf, seed: number, link: Partial<DatagramLinkOptions> = {}): DatagramPair {
  const pair = pairOn(environmentOf, seed, link);
  if (!connectPair(pair)) throw new Error(`seed ${seed}: no session`);
  return pair;
}

/** A session over two equal paths. */
function bonded(environmentOf: EnvironmentOf, seed: number): DatagramPair {
  const session = { pathsWanted: 2, pathPolicy: "aggregate" } as const;
  const pair = datagramPair(seed, environmentOf, { link: INTEROP_LINK, session });
  if (!connectPair(pair, 10_000, ["udp://server:1", "udp://server.b:1"])) throw new Error(`seed ${seed}: no session`);
  pair.network.run(1_000);
  return pair;
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

const uniform = (rate: number, burstMax: number): Partial<DatagramLinkOptions> => ({
  loss: { kind: "uniform", rate, burstMax },
});

/** All of them. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "handshake under 30 % loss both ways, bursts up to 3",
    bound: "50 of 50",
    unit: "of 50",
    isWithin: (figure) => figure === 50,
    run: (environmentOf) => {
      let done = 0;
      for (let seed = 1; seed <= 50; seed++) {
        if (connectPair(pairOn(environmentOf, seed, uniform(0.3, 3)))) done++;
      }
      return done;
    },
  },
  {
    name: "2 MB at 2 % loss",
    bound: "at most 8 s",
    unit: "s",
    isWithin: (figure) => figure <= 8,
    run: (environmentOf) => seconds(transfer(connected(environmentOf, 1, uniform(0.02, 3)), 2 * MB, 60_000)),
  },
  {
    name: "10 MB across a black hole of 2 s",
    bound: "at most 14 s",
    unit: "s",
    isWithin: (figure) => figure <= 14,
    run: (environmentOf) => {
      const pair = connected(environmentOf, 2);
      const { network } = pair;
      const setDown = (isDown: boolean) => () => {
        network.datagrams.link("client", "server").isDown = isDown;
        network.datagrams.link("server", "client").isDown = isDown;
      };
      network.plan(network.now + 3_000, setDown(true));
      network.plan(network.now + 5_000, setDown(false));
      return seconds(transfer(pair, 10 * MB, 60_000));
    },
  },
  {
    name: "10 MB, another port every 5 s",
    bound: "at most 12 s",
    unit: "s",
    isWithin: (figure) => figure <= 12,
    run: (environmentOf) => {
      const pair = connected(environmentOf, 3);
      const { network, client } = pair;
      for (let at = 1; at < 12; at++) {
        network.plan(network.now + at * 5_000 - 2_500, () => network.datagrams.rebind(client.host));
      }
      return seconds(transfer(pair, 10 * MB, 60_000));
    },
  },
  {
    name: "goodput of 10 MB",
    bound: "at least 8.3 Mbit/s",
    unit: "Mbit/s",
    isWithin: (figure) => figure >= 8.3,
    run: (environmentOf) => {
      const ms = transfer(connected(environmentOf, 4), 10 * MB, 60_000);
      return ms === undefined ? undefined : (10 * MB * 8) / ms / 1000;
    },
  },
  {
    name: "2 MB over two paths of 10 Mbit/s",
    bound: "at most 1.3 s",
    unit: "s",
    isWithin: (figure) => figure <= 1.3,
    run: (environmentOf) => seconds(transfer(bonded(environmentOf, 10), 2 * MB, 60_000)),
  },
  {
    name: "2 MB over two paths, one dies at 0.4 s",
    bound: "at most 1.8 s",
    unit: "s",
    isWithin: (figure) => figure <= 1.8,
    run: (environmentOf) => {
      const pair = bonded(environmentOf, 11);
      const { network } = pair;
      network.plan(network.now + 400, () => {
        network.datagrams.link("client.b", "server.b").isDown = true;
        network.datagrams.link("server.b", "client.b").isDown = true;
      });
      return seconds(transfer(pair, 2 * MB, 60_000));
    },
  },
  {
    name: "1 MB with 750 ms one way",
    bound: "at most 25 s",
    unit: "s",
    isWithin: (figure) => figure <= 25,
    run: (environmentOf) => seconds(transfer(connected(environmentOf, 5, { delayMs: 750 }), MB, 120_000)),
  },
  {
    name: "2 MB, 10 Mbit/s down and 100 kbit/s back",
    bound: "at most 3 s",
    unit: "s",
    isWithin: (figure) => figure <= 3,
    run: (environmentOf) => {
      const pair = pairOn(environmentOf, 6);
      pair.network.datagrams.link("server", "client").setOptions({ rateBitsPerSecond: 100_000 });
      if (!connectPair(pair)) return undefined;
      return seconds(transfer(pair, 2 * MB, 60_000));
    },
  },
  {
    name: "2 MB through a path of 1,280 bytes at most",
    bound: "at most 3 s",
    unit: "s",
    isWithin: (figure) => figure <= 3,
    run: (environmentOf) => seconds(transfer(connected(environmentOf, 7, { mtuBytes: 1280 }), 2 * MB, 60_000)),
  },
  {
    name: "2 MB, the path shrinks to 700 bytes half way",
    bound: "at most 6 s",
    unit: "s",
    isWithin: (figure) => figure <= 6,
    run: (environmentOf) => {
      const pair = connected(environmentOf, 8);
      pair.network.plan(pair.network.now + 800, () =>
        pair.network.datagrams.link("client", "server").setOptions({ mtuBytes: 700 }),
      );
      return seconds(transfer(pair, 2 * MB, 60_000));
    },
  },
  {
    name: "2 MB, 10 % of the datagrams 20 ms late",
    bound: "at most 4 s",
    unit: "s",
    isWithin: (figure) => figure <= 4,
    run: (environmentOf) =>
      seconds(
        transfer(
          connected(environmentOf, 9, { reorderRate: 0.1, reorderDelayMs: 20, duplicateRate: 0.05 }),
          2 * MB,
          60_000,
        ),
      ),
  },
];
