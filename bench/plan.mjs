/**
 * What `npm run bench` measures: each workload over each scheme, in which unit, and who takes part. The first of the
 * systems is Viaduct; the second is the yardstick, the least that such a socket costs.
 *
 * @module
 */

/** Bytes of the largest UDP payload in the workloads that are about packages of one size. */
const NORMAL_PACKAGE = 1200;
const LARGE_PACKAGE = 16_000;

const TCP = [
  {
    name: "bulk",
    unit: "MiB/s",
    title: "one stream, 64 KiB writes",
    systems: ["viaduct", "tls", "net", "libp2p"],
    mebibytes: 256,
  },
  {
    name: "pingpong",
    unit: "/s",
    title: "64 B request and answer, one in flight",
    systems: ["viaduct", "net", "tls", "libp2p"],
  },
  {
    name: "requests",
    unit: "/s",
    title: "64 B request and answer, 32 in flight",
    systems: ["viaduct", "net", "libp2p"],
  },
  { name: "streams", unit: "/s", title: "open a stream, echo 64 B, close; 16 at once", systems: ["viaduct", "libp2p"] },
  { name: "connects", unit: "/s", title: "connections, 16 at once", systems: ["viaduct", "tls", "libp2p"] },
  { name: "idle", unit: "KiB", title: "resident memory of an idle connection, one end", systems: ["viaduct", "tls"] },
  {
    name: "roundTrips",
    unit: "round trips",
    title: "from the dial to the first answer, over a line of 25, 100 and 300 ms",
    systems: ["viaduct", "tls", "libp2p"],
  },
  {
    name: "relayBulk",
    unit: "MiB/s",
    title: "one stream through a relay process",
    systems: ["viaduct", "net", "libp2p"],
    mebibytes: 64,
  },
  {
    name: "relayPingpong",
    unit: "/s",
    title: "64 B request and answer through a relay process",
    systems: ["viaduct", "net", "libp2p"],
  },
];

const UDP = [
  {
    name: "bulk",
    unit: "MiB/s",
    title: `one stream, packages of ${NORMAL_PACKAGE} B`,
    systems: ["viaduct", "dgram", "werift"],
    packageBytes: NORMAL_PACKAGE,
    mebibytes: 96,
  },
  {
    name: "bulkLarge",
    unit: "MiB/s",
    title: `one stream, packages of up to ${LARGE_PACKAGE} B; hyperdht chooses its own`,
    systems: ["viaduct", "dgram", "hyperdht"],
    packageBytes: LARGE_PACKAGE,
    mebibytes: 256,
  },
  {
    name: "pingpong",
    unit: "/s",
    title: "64 B request and answer, one in flight",
    systems: ["viaduct", "dgram", "hyperdht", "werift"],
  },
  { name: "requests", unit: "/s", title: "64 B request and answer, 32 in flight", systems: ["viaduct", "dgram"] },
  { name: "streams", unit: "/s", title: "open a stream, echo 64 B, close; 16 at once", systems: ["viaduct"] },
  { name: "connects", unit: "/s", title: "connections, 16 at once", systems: ["viaduct"] },
  { name: "idle", unit: "KiB", title: "resident memory of an idle connection, one end", systems: ["viaduct"] },
  {
    name: "roundTrips",
    unit: "round trips",
    title: "from the dial to the first answer, over a line of 25, 100 and 300 ms",
    systems: ["viaduct"],
  },
];

const ALONE = [
  {
    name: "seal",
    unit: "us",
    title: `sealing a package of ${NORMAL_PACKAGE} B with ChaCha20-Poly1305`,
    systems: ["viaduct"],
    isAlone: true,
    packageBytes: NORMAL_PACKAGE,
  },
];

/** Every workload: what needs no other end, then TCP before UDP. */
export const WORKLOADS = [
  ...ALONE.map((workload) => ({ ...workload, scheme: "none" })),
  ...TCP.map((workload) => ({ ...workload, scheme: "tcp" })),
  ...UDP.map((workload) => ({ ...workload, scheme: "udp" })),
];

/** Systems that run under some runtimes only, because others cannot load or serve them. */
export const RUNTIMES_OF = { libp2p: ["node24"], hyperdht: ["node20", "node24"], werift: ["node20", "node24"] };
