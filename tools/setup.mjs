/**
 * Gets what the project needs on a fresh clone: dependencies, the runtimes that the suite runs under, a browser.
 * Plain JavaScript on Node 20, because it runs before anything is installed.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const RUNTIMES = join(ROOT, "test", "runtimes");
const NODE_MAJOR_MIN = 20;
const CHROMIUM_PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Runs a program to its end and returns its exit code and what it printed. Ends it, with its children, in time. */
export function run(command, args, options = {}) {
  const { timeoutMs = 600_000, isShown = false, env = process.env, cwd = ROOT } = options;
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const take = (bytes) => {
      output += bytes;
      if (isShown) process.stdout.write(bytes);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    const timer = setTimeout(() => {
      output += `\nEnded after ${timeoutMs} ms\n`;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }, timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ code: 127, output: `${output}${error.message}\n` });
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? 1, output });
    });
  });
}

/** Installs the dependencies when they are missing or older than the lock file. */
export async function ensureDependencies() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < NODE_MAJOR_MIN) fail(`Node ${NODE_MAJOR_MIN} or later is needed, this is ${process.version}`);
  await ensureInstalled(ROOT, "dependencies");
}

/** Installs the runtimes and returns where each is; those that this machine cannot have are left out. */
export async function ensureRuntimes() {
  await ensureInstalled(RUNTIMES, "runtimes");
  const modules = join(RUNTIMES, "node_modules");
  const platform = `${process.platform}-${process.arch}`;
  const places = {
    node20: [join(modules, `node20-${platform}`, "bin", "node")],
    node24: [join(modules, `node24-${platform}`, "bin", "node")],
    deno: [join(modules, "@deno", `${platform}-glibc`, "deno"), join(modules, "@deno", platform, "deno")],
    bun: [join(modules, "@oven", `bun-${platform.replace("arm64", "aarch64")}`, "bin", "bun")],
  };
  const found = {};
  for (const [name, candidates] of Object.entries(places)) {
    const place = candidates.find((candidate) => existsSync(candidate));
    if (place !== undefined) found[name] = place;
  }
  return found;
}

/** Where a Chromium is; installs Debian's where that is possible. `undefined` when there is none. */
export async function ensureChromium() {
  const known = [process.env.CHROMIUM, ...CHROMIUM_PLACES].find((place) => place !== undefined && isExecutable(place));
  if (known !== undefined) return known;
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return undefined;
  process.stdout.write("Installing Chromium from Debian\n");
  await run("apt-get", ["update"], { timeoutMs: 120_000 });
  await run("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { timeoutMs: 400_000 });
  return CHROMIUM_PLACES.find(isExecutable);
}

async function ensureInstalled(folder, what) {
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
  const stamp = join(folder, "node_modules", ".viaduct-installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  process.stdout.write(`Installing ${what}\n`);
  // No install script is needed: every binary comes inside its package. Not `npm ci`: it refuses a lock file that was
  // made where packages of other platforms could not be had; `--no-save` leaves the lock file as it is.
  const args = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { code, output } = await run("npm", args, { cwd: folder });
  if (code !== 0) fail(`The ${what} could not be installed. Is the npm registry within reach?\n${output.slice(-2000)}`);
  writeFileSync(stamp, lock);
}

function isExecutable(place) {
  try {
    accessSync(place, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
