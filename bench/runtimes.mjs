/**
 * The runtimes that the bench runs programs under.
 *
 * @module
 */

import { ensureRuntimes } from "../tools/setup.mjs";

const ARGS = {
  node20: ["--expose-gc"],
  node24: ["--expose-gc"],
  deno: ["run", "--allow-all", "--no-check", "--unstable-net", "--v8-flags=--expose-gc"],
  bun: ["run"],
};

/** The names that `--runtime` takes. */
export const RUNTIME_NAMES = Object.keys(ARGS);

/**
 * `{ name, command, args }` of each runtime asked for, with flags of one's own in front; throws where this machine has
 * none of that name.
 */
export async function findRuntimes(names, flags) {
  const places = await ensureRuntimes();
  return names.map((name) => {
    if (ARGS[name] === undefined) throw new Error(`--runtime takes ${RUNTIME_NAMES.join(", ")}, not ${name}`);
    if (places[name] === undefined) throw new Error(`There is no ${name} for this machine`);
    return { name, command: places[name], args: [...flags, ...ARGS[name]] };
  });
}
