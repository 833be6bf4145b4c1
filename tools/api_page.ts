/**
 * `docs/api.md`: every export of every entry point of the package, with what its doc comment says and where it stands.
 * And `docs/command.md`, which `command_page.ts` makes.
 *
 *   --write   writes the pages; without it, they are compared with the source
 *
 * Of the main entry point, which is what programs hold, the members of its interfaces are there as well.
 *
 * @module
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { commandPage } from "./command_page.ts";

/** An export of an entry point. */
interface Export {
  readonly name: string;
  readonly kind: string;
  /** Its doc comment as one line. */
  readonly text: string;
  /** Its file, relative to the project's folder. */
  readonly file: string;
  readonly symbol: ts.Symbol;
}

interface Entry {
  readonly path: string;
  /** What its source says of itself, as one line. */
  readonly about: string;
  readonly exports: ReadonlyMap<string, Export>;
}

const root: string = join(dirname(fileURLToPath(import.meta.url)), "..");
const TYPE_LENGTH_MAX = 48;
const RUNTIMES = ["node", "deno", "bun", "browser"];
/** The entry points besides those of runtimes, and the source of each. */
const OTHERS: ReadonlyMap<string, string> = otherEntries();

/** Types that the entry points mention and a program has no business with. */
const INTERNAL = ["ErrorFacts", "ExtensionBuilder", "Runtime", "SessionTracing"];

const program: ts.Program = ts.createProgram(
  [...RUNTIMES.map((name) => `adapters/${name}/mod.ts`), ...OTHERS.values()].map((path) => join(root, path)),
  {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.esnext.disposable.d.ts"],
    types: ["node"],
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
  },
);
const checker: ts.TypeChecker = program.getTypeChecker();
const problems: string[] = [];
const pages: readonly (readonly [file: string, text: string])[] = [
  ["docs/api.md", pageText()],
  ["docs/command.md", commandPage()],
];

for (const [file, text] of pages) {
  if (process.argv.includes("--write")) writeFileSync(join(root, file), text);
  else compare(file, text, existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : "");
}
if (problems.length > 0 && !process.argv.includes("--write")) problems.push("`npm run api` writes the pages anew");
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;

function compare(file: string, text: string, found: string): void {
  const wanted = text.split("\n");
  const there = found.split("\n");
  const before = problems.length;
  for (const line of wanted) if (!there.includes(line)) problems.push(`${file} lacks: ${line.slice(0, 100)}`);
  for (const line of there) if (!wanted.includes(line)) problems.push(`${file} has, wrongly: ${line.slice(0, 100)}`);
  if (problems.length === before && found !== text) problems.push(`${file} has its lines in another order`);
}

function pageText(): string {
  const runtimes = RUNTIMES.map((name) => entry(`adapters/${name}/mod.ts`));
  const [first] = runtimes as [Entry];
  for (const one of runtimes) checkMentions(one);
  const isShared = ({ name }: Export): boolean => runtimes.filter(({ exports }) => exports.has(name)).length > 1;
  const shared = [...first.exports.values()].filter(isShared);
  const own = runtimes.flatMap(({ exports }) => [...exports.values()].filter((one) => !isShared(one)));
  const withMembers = shared.filter((one) => membersOf(one).length > 0);
  const isEverywhere = ({ name }: Export): boolean => runtimes.every(({ exports }) => exports.has(name));
  const lines = [
    "# Every export",
    "",
    "Written from the doc comments by `npm run api`, and held against them by a test. The [guide](guide.md) is the way",
    "through; units, defaults and errors are in the comments at the source.",
    "",
    "## `viaduct`",
    "",
    "The package picks the adapter of the runtime that imports it. `viaduct/node`, `viaduct/deno`, `viaduct/bun` and",
    "`viaduct/browser` each name one.",
    "",
    ...table(shared, withMembers, (one) => (isEverywhere(one) ? "" : " Not in browsers.")),
    "",
    "And one of each runtime's own:",
    "",
    ...table(own),
    ...withMembers.flatMap((one) => section(one)),
  ];
  for (const [name, path] of OTHERS) {
    const { about, exports } = entry(path);
    lines.push("", `## \`viaduct/${name}\``, "", about, "", ...table([...exports.values()]));
  }
  return `${lines.join("\n")}\n`;
}

function entry(path: string): Entry {
  const source = program.getSourceFile(join(root, path));
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${path} is no module`);
  const found = checker.getExportsOfModule(module).map((symbol) => exportOf(symbol));
  const exports = new Map(found.sort(byName).map((one) => [one.name, one]));
  const opening = /^\/\*\*([\s\S]*?)@module/.exec(source?.text ?? "")?.[1] ?? "";
  return { path, about: opening.replace(/\s*\n \*/g, "").trim(), exports };
}

/** Entry points of `package.json` that are no runtime's: their names, and the source that is built for each. */
function otherEntries(): Map<string, string> {
  const manifest: unknown = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { exports } = manifest as { readonly exports: Readonly<Record<string, { readonly default?: string }>> };
  const found = new Map<string, string>();
  for (const [name, target] of Object.entries(exports)) {
    const built = /^\.\/dist\/(.*)\.js$/.exec(target.default ?? "")?.[1];
    if (built !== undefined && !RUNTIMES.includes(name.slice(2))) found.set(name.slice(2), `${built}.ts`);
  }
  return found;
}

function byName(left: { readonly name: string }, right: { readonly name: string }): number {
  return left.name < right.name ? -1 : 1;
}

function exportOf(alias: ts.Symbol): Export {
  const symbol = alias.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(alias) : alias;
  const declaration = symbol.declarations?.[0];
  if (declaration === undefined) throw new Error(`${alias.name} is declared nowhere`);
  const file = relative(root, declaration.getSourceFile().fileName).replaceAll("\\", "/");
  const comment = commentOf(symbol);
  if (comment === "") problems.push(`${file}: ${alias.name} is exported and has no doc comment`);
  return { name: alias.name, kind: kindOf(symbol), text: comment, file, symbol };
}

function kindOf({ flags }: ts.Symbol): string {
  if (flags & ts.SymbolFlags.Class) return "class";
  if (flags & ts.SymbolFlags.Function) return "function";
  if (flags & ts.SymbolFlags.Interface) return "interface";
  return flags & ts.SymbolFlags.TypeAlias ? "type" : "constant";
}

function commentOf(symbol: ts.Symbol): string {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).replace(/\s+/g, " ").trim();
}

function table(exports: readonly Export[], linked: readonly Export[] = [], more?: (one: Export) => string): string[] {
  return [
    "| export | is | what it is | source |",
    "| ------ | -- | ---------- | ------ |",
    ...exports.map((one) => {
      const name = linked.includes(one) ? `[\`${one.name}\`](#${one.name.toLowerCase()})` : `\`${one.name}\``;
      const about = cell(firstSentence(one.text) + (more?.(one) ?? ""));
      return `| ${name} | ${one.kind} | ${about} | [${one.file}](../${one.file}) |`;
    }),
  ];
}

/** The interface's section: each member with its whole comment. */
function section(one: Export): string[] {
  const rows = membersOf(one).map((member) => `| \`${cell(signature(member))}\` | ${cell(commentOf(member))} |`);
  const parents = heritageOf(one);
  const also =
    parents.length > 0 ? ` It has everything of ${parents.map((name) => `\`${name}\``).join(", ")} too.` : "";
  return ["", `### \`${one.name}\``, "", `${one.text}${also}`, "", "| member | what it is |", "| -- | -- |", ...rows];
}

/** A method with its parameters; a property with its type, where that is short enough to help. */
function signature(member: ts.Symbol): string {
  const declaration = member.declarations?.[0];
  if (declaration !== undefined && ts.isMethodSignature(declaration)) {
    const parameters = declaration.parameters.map((one) => `${one.name.getText()}${one.questionToken ? "?" : ""}`);
    return `${declaration.name.getText()}(${parameters.join(", ")})`;
  }
  if (declaration === undefined || !ts.isPropertySignature(declaration)) return member.name;
  const type = declaration.type?.getText() ?? "";
  const name = `${member.name}${declaration.questionToken ? "?" : ""}`;
  return type === "" || type.length > TYPE_LENGTH_MAX || type.includes("\n") ? name : `${name}: ${type}`;
}

function heritageOf({ symbol }: Export): string[] {
  return (symbol.declarations ?? []).flatMap((declaration) =>
    ts.isInterfaceDeclaration(declaration)
      ? (declaration.heritageClauses ?? []).flatMap(({ types }) => types.map((type) => type.getText()))
      : [],
  );
}

function membersOf({ symbol, kind }: Export): ts.Symbol[] {
  if (kind !== "interface") return [];
  const wanted = ts.SymbolFlags.Property | ts.SymbolFlags.Method;
  return [...(symbol.members?.values() ?? [])].filter(({ flags }) => flags & wanted);
}

/** What follows until the first sentence ends: at a full stop before a capital, a quote or a bracket. */
function firstSentence(comment: string): string {
  return /^(.*?[.!?])(?= [A-Z`[(]|$)/.exec(comment)?.[1] ?? comment;
}

function cell(content: string): string {
  return content.replaceAll("|", "\\|");
}

/** A type that exports mention is exported too, or a program could not name it. Bodies of functions do not count. */
function checkMentions({ path, exports }: Entry): void {
  for (const one of exports.values()) {
    const visit = (node: ts.Node): void => {
      if (ts.isBlock(node) || (ts.isPropertyDeclaration(node) && ts.isPrivateIdentifier(node.name))) return;
      const found = ts.isTypeReferenceNode(node) ? checker.getSymbolAtLocation(node.typeName) : undefined;
      if (found !== undefined) mention(found);
      ts.forEachChild(node, visit);
    };
    const mention = (found: ts.Symbol): void => {
      const symbol = found.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(found) : found;
      if (symbol.flags & ts.SymbolFlags.TypeParameter || INTERNAL.includes(symbol.name) || exports.has(symbol.name))
        return;
      const file = symbol.declarations?.[0]?.getSourceFile().fileName ?? "";
      if (!file.startsWith(root) || file.includes("node_modules")) return;
      problems.push(`${path}: ${one.name} mentions ${symbol.name}, which is not exported`);
    };
    for (const declaration of one.symbol.declarations ?? []) visit(declaration);
  }
}
