/**
 * `npm test`: every check and every test, one after the other where they would disturb each other. The last line is
 * `N passed, N failed`.
 *
 *   --quick          checks of types and style, and the suite under this Node only
 *   --only a,b       only these steps (see --list)
 *   --filter TEXT    only test files whose path holds TEXT
 *   --list           names the steps
 *
 * @module
 */

import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ensureChromium, ensureDependencies, ensureRuntimes, ROOT, run } from "./setup.mjs";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean" },
    only: { type: "string" },
    filter: { type: "string" },
    list: { type: "boolean" },
  },
});
const STEP_TIMEOUT_MS = 420_000;
const totals = { passed: 0, failed: 0, skipped: 0 };

await ensureDependencies();
const runtimes = values.quick === true ? {} : await ensureRuntimes();
const node = process.execPath;
const bin = (name) => join(ROOT, "node_modules", ".bin", name);
const tsx = ["--import", "tsx"];
const files = testFiles("test").filter((file) => values.filter === undefined || file.includes(values.filter));
const suite = files.filter(
  (file) => !file.startsWith(join("test", "browser")) && !file.startsWith(join("test", "node_only")),
);
const nodeOnly = files.filter((file) => file.startsWith(join("test", "node_only")));
const browser = files.filter((file) => file.startsWith(join("test", "browser")));

/** Checks count one each; suites count their tests. */
const steps = [
  ...["core", "adapters", "cli", "test"].map((name) =>
    check(`types:${name}`, bin("tsc"), ["-p", join("tools", "types", `${name}.json`)]),
  ),
  check("style", bin("biome"), ["check", "--error-on-warnings", "."]),
  check("tidy", node, [...tsx, "tools/tidy.ts"]),
  check("manifests", node, [...tsx, "tools/check_manifests.ts"]),
  check("wasm", node, ["tools/build_wasm.mjs", "--check"]),
  check("api", node, [...tsx, "tools/api_page.ts"]),
  check("links", node, [...tsx, "tools/check_links.ts"]),
  check("build", bin("tsdown"), []),
  check("bundle", node, [...tsx, "tools/check_bundle.ts"]),
  check("vacuum", node, [...tsx, "tools/vacuum.ts"]),
  check("publint", bin("publint"), ["run", ".", "--strict"]),
  check("attw", bin("attw"), ["--pack", ".", "--profile", "esm-only"]),
  ...(runtimes.deno === undefined
    ? []
    : [
        check("deno:publish", runtimes.deno, ["publish", "--dry-run", "--allow-dirty", "--no-check"]),
        check("deno:types", runtimes.deno, ["check", "adapters/deno/mod.ts", "core/mod.ts"]),
      ]),
  ...suites(),
];

if (values.list === true) {
  for (const { name } of steps) process.stdout.write(`${name}\n`);
  process.exit(0);
}
const only = values.only?.split(",");
const QUICK = /^(types|style|tidy|manifests|wasm|api|links|suite:this)/;
for (const step of steps) {
  if (only !== undefined && !only.some((name) => step.name === name || step.name.startsWith(`${name}:`))) continue;
  if (values.quick === true && !QUICK.test(step.name)) continue;
  await runStep(step);
}
const missing = ["node20", "node24", "deno", "bun"].filter(
  (name) => values.quick !== true && runtimes[name] === undefined,
);
if (missing.length > 0) process.stdout.write(`Not to be had on this machine: ${missing.join(", ")}\n`);
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
process.exit(totals.failed > 0 ? 1 : 0);

function check(name, command, args) {
  return {
    name,
    command,
    args,
    count: ({ code }) => ({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }),
  };
}

function suites() {
  const list = [];
  // Left to itself Node keeps one processor free, which of two is half.
  const jobs = `--test-concurrency=${Math.max(2, availableParallelism())}`;
  const nodeArgs = ["--test", "--test-reporter=tap", "--test-timeout=300000", jobs];
  if (values.quick === true) {
    return [{ name: "suite:this", command: node, args: [...tsx, ...nodeArgs, ...suite, ...nodeOnly], count: countTap }];
  }
  const own = Number(process.versions.node.split(".")[0]);
  const node20 = runtimes.node20 ?? (own === 20 ? node : undefined);
  const node24 = runtimes.node24 ?? (own >= 24 ? node : undefined);
  if (node20 !== undefined) {
    list.push({
      name: "suite:node20",
      command: node20,
      args: [...tsx, ...nodeArgs, ...suite, ...nodeOnly],
      count: countTap,
    });
  }
  if (node24 !== undefined)
    list.push({ name: "suite:node24", command: node24, args: [...nodeArgs, ...suite], count: countTap });
  if (runtimes.deno !== undefined) {
    const args = ["test", "--allow-all", "--no-check", "--reporter=tap", ...suite];
    list.push({ name: "suite:deno", command: runtimes.deno, args, count: countDeno });
  }
  if (runtimes.bun !== undefined) {
    list.push({
      name: "suite:bun",
      command: runtimes.bun,
      args: ["test", "--timeout", "120000", ...suite.map((file) => `./${file}`)],
      count: countBun,
    });
  }
  if (browser.length > 0) {
    list.push({
      name: "suite:chromium",
      command: node,
      args: [...tsx, ...nodeArgs, "--test-concurrency=1", ...browser],
      count: countTap,
      needsChromium: true,
    });
  }
  return list;
}

async function runStep(step) {
  const env = { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" };
  if (step.needsChromium === true) {
    const chromium = await ensureChromium();
    if (chromium === undefined) {
      process.stdout.write("FAIL suite:chromium: no Chromium here; install it, or set CHROMIUM to its path\n");
      totals.failed++;
      return;
    }
    env.CHROMIUM = chromium;
  }
  const began = performance.now();
  const result = await run(step.command, step.args, { timeoutMs: STEP_TIMEOUT_MS, env });
  const counts = step.count(result);
  if (result.code !== 0 && counts.failed === 0) counts.failed = 1;
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  totals.skipped += counts.skipped;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const figures = counts.passed + counts.failed > 1 ? ` ${counts.passed} passed, ${counts.failed} failed` : "";
  process.stdout.write(`${counts.failed === 0 ? "ok  " : "FAIL"} ${step.name}${figures} (${seconds} s)\n`);
  if (counts.failed > 0) process.stdout.write(`${shortened(result.output)}\n`);
}

function shortened(output) {
  const lines = output.split("\n");
  const failures = lines.flatMap((line, index) => (/^\s*not ok |\(fail\)|error:/i.test(line) ? [index] : []));
  if (lines.length <= 200) return output;
  const kept = new Set();
  for (const index of failures.slice(0, 20)) for (let at = index - 2; at < index + 25; at++) kept.add(at);
  for (let at = lines.length - 40; at < lines.length; at++) kept.add(at);
  return lines.filter((_line, index) => kept.has(index)).join("\n");
}

function countTap({ output }) {
  const figure = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
  return { passed: figure("pass"), failed: figure("fail") + figure("cancelled"), skipped: figure("skipped") };
}

function countDeno({ output }) {
  const passed = output.match(/^ok \d+/gm)?.length ?? 0;
  const failed = output.match(/^not ok \d+/gm)?.length ?? 0;
  return { passed, failed, skipped: 0 };
}

function countBun({ output }) {
  const figure = (name) => Number(new RegExp(`^\\s*(\\d+) ${name}$`, "m").exec(output)?.[1] ?? 0);
  return { passed: figure("pass"), failed: figure("fail"), skipped: figure("skip") };
}

function testFiles(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.name === "node_modules") return [];
      if (entry.isDirectory()) return testFiles(path);
      return entry.name.endsWith("_test.ts") ? [relative(ROOT, join(ROOT, path))] : [];
    })
    .sort();
}
