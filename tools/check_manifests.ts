/**
 * package.json, jsr.json and deno.json say the same, every entry point exists, the pages that list what is in the code
 * list all of it, and what comments refer to is there.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { problemsOfErrorPages } from "./error_pages.ts";
import { problemsOfLimitsPage } from "./limits_page.ts";
import { problemsOfReferences } from "./references_page.ts";

type Json = { readonly [key: string]: Json } | string;

const root: string = join(dirname(fileURLToPath(import.meta.url)), "..");
const problems: string[] = [];

function read(file: string): Record<string, Json> {
  return JSON.parse(readFileSync(join(root, file), "utf8")) as Record<string, Json>;
}

function expect(isRight: boolean, problem: string): void {
  if (!isRight) problems.push(problem);
}

const manifest = read("package.json");
const jsr = read("jsr.json");
const deno = read("deno.json");
const exportsMap = manifest.exports as Record<string, Json>;
const jsrExports = jsr.exports as Record<string, string>;

expect(manifest.version === jsr.version, `Versions differ: ${manifest.version} and ${jsr.version}`);
expect(manifest.license === jsr.license, "Licences differ");
// Deno reads the facts of a package from its own file; JSR from either: both must say the same.
for (const key of ["name", "version", "license", "exports", "publish"]) {
  expect(JSON.stringify(deno[key]) === JSON.stringify(jsr[key]), `deno.json and jsr.json differ in '${key}'`);
}
const names = (map: object): string[] => Object.keys(map).filter((name) => name !== "./package.json");
expect(
  names(exportsMap).sort().join() === names(jsrExports).sort().join(),
  `package.json and jsr.json export different entry points: ${names(exportsMap)} and ${names(jsrExports)}`,
);

/** Every file that an export names must come from a source that is there. */
function checkTargets(name: string, target: Json): void {
  if (typeof target !== "string") {
    for (const nested of Object.values(target)) checkTargets(name, nested);
    return;
  }
  if (target === "./package.json") return;
  const source = target.replace(/^\.\/dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts");
  expect(existsSync(join(root, source)), `'${name}' names ${target}, but there is no ${source}`);
}
for (const [name, target] of Object.entries(exportsMap)) checkTargets(name, target);
for (const [name, source] of Object.entries(jsrExports)) {
  expect(existsSync(join(root, source)), `jsr.json: '${name}' names ${source}, which is not there`);
  const mapped = exportsMap[name] as { default?: Json } | undefined;
  const target = typeof mapped?.default === "string" ? mapped.default : "";
  const built = target.replace(/^\.\/dist\//, "./").replace(/\.js$/, ".ts");
  expect(name === "." || built === source, `'${name}' is ${built} in package.json and ${source} in jsr.json`);
}
const conditions = Object.keys(exportsMap["."] as object);
expect(conditions.join() === "browser,deno,bun,default", `The main entry point has the conditions ${conditions}`);
for (const bin of Object.values(manifest.bin as Record<string, string>)) checkTargets("bin", bin);

const imports = deno.imports as Record<string, string>;
for (const [name, version] of Object.entries(manifest.dependencies as Record<string, string>)) {
  expect(/^\d/.test(version), `${name} must be pinned, it is '${version}'`);
  const mapped = imports[name] ?? imports[`${name}/`];
  expect(mapped?.includes(`${name}@${version}`) === true, `deno.json maps ${name} to ${mapped}, not to ${version}`);
}
const dependencies = readFileSync(join(root, "docs", "dependencies.md"), "utf8");
for (const name of Object.keys(manifest.dependencies as object)) {
  expect(dependencies.includes(`\`${name}\``), `docs/dependencies.md does not say why ${name}`);
}
const readme = readFileSync(join(root, "README.md"), "utf8");
for (const name of names(exportsMap)) {
  const path = name === "." ? "viaduct" : `viaduct${name.slice(1)}`;
  expect(readme.includes(`\`${path}\``), `README.md does not name the entry point ${path}`);
}
for (const lock of ["package-lock.json", "test/runtimes/package-lock.json"]) {
  expect(!readFileSync(join(root, lock), "utf8").includes('"resolved"'), `${lock} records where packages came from`);
}
problems.push(...problemsOfLimitsPage(root), ...problemsOfErrorPages(root), ...problemsOfReferences(root));

for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
