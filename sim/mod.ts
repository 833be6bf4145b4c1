/**
 * A deterministic network for tests: virtual time, seeded faults, the real machines.
 *
 * @module
 */

export { dangerousSimEnvironments } from "./environment.ts";
export { DEFAULT_PIPE_MODEL, type Link, type PipeModel, SimHost, type SimMachine, SimNetwork } from "./network.ts";
export { SimRandom } from "./random.ts";
export { Schedule } from "./schedule.ts";
