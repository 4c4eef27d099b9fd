/**
 * Flags, environment and help of a command. A flag overrides `TAPEDECK_*`, which overrides the default.
 *
 * **In** declarations and the words of the user, **Out** typed values, or a `Misuse` with a suggestion.
 * **Knows** `failure`.
 */
import { parseArgs } from "node:util";
import leven from "leven";
import { Misuse } from "./failure.ts";

interface Described {
  /** What it does, in a few words; the help shows it. */
  readonly does: string;
}
/**
 * `count` is a whole number (`5_000_000` is legal), `amount` a number, from 0 on unless `min` says otherwise. Without a
 * default the value is undefined. A `word` has no name in front of it: words are told apart by their place alone.
 */
export type Flag =
  | Described & { readonly kind: "switch" }
  | Described & {
    readonly kind: "count" | "amount";
    readonly default?: number;
    readonly unit?: string;
    readonly min?: number;
    readonly max?: number;
  }
  | Described & {
    readonly kind: "text";
    readonly default?: string;
    readonly value: string;
    readonly pattern?: RegExp;
    /** All that it may be, where these are too many for the help to show. */
    readonly of?: readonly string[];
  }
  | Described & { readonly kind: "choice"; readonly of: readonly string[]; readonly default: string }
  | Described & { readonly kind: "word"; readonly of?: readonly string[]; readonly value: string };
export type Flags = Readonly<Record<string, Flag>>;

/** The values of declared flags: a switch is a boolean, a number or text is undefined when it has no default. */
export type Values<F extends Flags> = {
  readonly [Name in keyof F]: F[Name] extends { kind: "switch" } ? boolean
    : F[Name] extends { kind: "choice" } ? string
    : F[Name] extends { kind: "count" | "amount"; default: number } ? number
    : F[Name] extends { kind: "count" | "amount" } ? number | undefined
    : F[Name] extends { default: string } ? string
    : string | undefined;
};

/** The flags that every command takes. */
export const COMMON = {
  data: { kind: "text", default: "data", value: "DIR", does: "embedded log, state, hot store and lake together" },
  transport: { kind: "text", value: "URL", does: "log:DIR/log or kafka://host:port (default log in --data)" },
  hot: { kind: "text", value: "URL", does: "sqlite:FILE or postgres://user@host/db (default SQLite in --data)" },
  lake: { kind: "text", value: "URL", does: "file:DIR (default lake in --data)" },
  fsync: {
    kind: "choice",
    of: ["batch", "interval", "never"],
    default: "batch",
    does: "when the embedded log's appends are durable",
  },
  partitions: { kind: "count", default: 4, min: 1, max: 1000, does: "partitions of topics that are created" },
  create: { kind: "switch", does: "create absent topics on Kafka too" },
  "retry-for": { kind: "amount", default: 30, unit: "s", does: "how long an outage may last" },
  once: { kind: "switch", does: "stop when caught up with the ends as they were at the start" },
  json: { kind: "switch", does: "one summary object as the last line of stdout" },
  "metrics-port": { kind: "count", max: 65535, does: "serve /metrics (off by default)" },
  "metrics-host": {
    kind: "text",
    default: "127.0.0.1",
    value: "ADDRESS",
    pattern: /^[\w.:-]+$/,
    does: "where /metrics is served: whoever reaches it may read it",
  },
} as const satisfies Flags;

const variable = (name: string): string => `TAPEDECK_${name.replaceAll("-", "_").toUpperCase()}`;

/**
 * Reads the user's words and environment.
 * @throws {Misuse} for an unknown flag (with a suggestion), a value out of range, a stray word
 */
export function readFlags<F extends Flags>(
  flags: F,
  args: readonly string[],
  env: (name: string) => string | undefined,
): Values<F> {
  for (const [i, word] of args.entries()) {
    const name = /^--([^=]+)/.exec(word)?.[1];
    if (name === undefined) continue;
    if (Object.hasOwn(flags, name) && flags[name]!.kind !== "word") {
      if (!word.includes("=")) assertGiven(name, flags[name]!, args[i + 1]);
      continue;
    }
    throw new Misuse(
      `Cannot read flag "--${name}": it is unknown, must be one of --help's${hintOf(name, namesOf(flags), "--")}`,
    );
  }
  const options = Object.fromEntries(
    namesOf(flags).map((name) => {
      return [name, { type: flags[name]!.kind === "switch" ? "boolean" as const : "string" as const }];
    }),
  );
  const words = Object.entries(flags).filter(([, { kind }]) => kind === "word");
  let given: Record<string, string | boolean | undefined>;
  let said: readonly string[];
  try {
    ({ values: given, positionals: said } = parseArgs({
      args: [...args],
      options,
      allowPositionals: words.length > 0,
    }));
  } catch (error) {
    throw new Misuse(
      `Cannot read flags: ${error instanceof Error ? error.message.split(/\.\s/)[0] : error}, must be as --help shows`,
    );
  }
  if (said.length > words.length) {
    const known = words.map(([, flag]) => shapeOf(flag)).join(" and ");
    throw new Misuse(`Cannot read "${said[words.length]}": it is a word too many, must be ${known} alone`);
  }
  const values: Record<string, unknown> = {};
  for (const [i, [name, flag]] of words.entries()) values[name] = valueOf(name, flag, said[i]);
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.kind === "word") continue;
    values[name] = valueOf(name, flag, given[name] ?? env(variable(name)));
  }
  return values as Values<F>;
}

/** What was meant by a name, to end a message with; nothing where no name is near. */
function hintOf(name: string, names: readonly string[], before = ""): string {
  const near = names.toSorted((a, b) => leven(a, name) - leven(b, name))[0];
  return near !== undefined && leven(near, name) <= 3 ? `; did you mean ${before}${near}?` : "";
}

/** What a word may be. */
const shapeOf = (flag: Flag): string => flag.kind === "word" ? flag.of?.join("|") ?? flag.value : "";

const namesOf = (flags: Flags): string[] => Object.keys(flags).filter((name) => flags[name]!.kind !== "word");

/** @throws {Misuse} where what follows the name of a flag begins with a dash, which might be its value or another flag */
function assertGiven(name: string, flag: Flag, next: string | undefined): void {
  if (flag.kind === "switch" || next === undefined || !/^-./.test(next)) return;
  if (flag.kind === "count" || flag.kind === "amount") {
    if (/^-[\d.]/.test(next)) valueOf(name, flag, next);
    throw new Misuse(`Cannot read --${name}: "${next}" is no number, must be --${name} N`);
  }
  const wanted = "value" in flag ? flag.value : flag.kind === "choice" ? flag.of.join("|") : "";
  throw new Misuse(
    `Cannot read --${name}: "${next}" begins with a dash, must be --${name} ${wanted}, or --${name}=${next} if it is meant`,
  );
}

function valueOf(name: string, flag: Flag, given: string | boolean | undefined): unknown {
  if (flag.kind === "switch") return given === true || given === "1" || given === "true";
  if (given === undefined) return flag.kind === "word" ? undefined : flag.default;
  const text = String(given);
  switch (flag.kind) {
    case "word":
      if (flag.of?.includes(text) === false) {
        const wanted = flag.of.length === 1 ? `${flag.of[0]} or nothing` : `one of ${flag.of.join(", ")}`;
        throw new Misuse(`Cannot read "${text}": it is unknown, must be ${wanted}`);
      }
      return text;
    case "choice":
      if (!flag.of.includes(text)) {
        throw new Misuse(`Cannot use --${name} "${text}": it is unknown, must be one of ${flag.of.join(", ")}`);
      }
      return text;
    case "text":
      if (text === "") throw new Misuse(`Cannot use --${name} "": it is empty, must be ${flag.value}`);
      if (flag.pattern && !flag.pattern.test(text)) {
        throw new Misuse(`Cannot use --${name} "${text}": it has another form, must be ${flag.value}`);
      }
      if (flag.of?.includes(text) === false) {
        throw new Misuse(
          `Cannot use --${name} "${text}": it is unknown, must be one of ${flag.of.join(", ")}${hintOf(text, flag.of)}`,
        );
      }
      return text;
    default: {
      const number = /^\d[\d_]*(\.\d+)?$/.test(text) ? Number(text.replaceAll("_", "")) : NaN;
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = flag;
      if (!(number >= min && number <= max) || (flag.kind === "count" && !Number.isInteger(number))) {
        throw new Misuse(
          `Cannot use --${name} "${text}": it is no ${
            flag.kind === "count" ? "whole number" : "number"
          } in range, must be ${min} to ${max}`,
        );
      }
      return number;
    }
  }
}

/** The help page: purpose, flow line, flags with defaults and units, examples. */
export function helpOf(
  command: {
    readonly name: string;
    readonly does: string;
    readonly flow: string;
    readonly flags: Flags;
    readonly examples: readonly string[];
  },
): string {
  const line = ([name, flag]: [string, Flag]): string => {
    if (flag.kind === "word") return `  ${shapeOf(flag).padEnd(34)} ${flag.does}`;
    const value = flag.kind === "switch"
      ? ""
      : flag.kind === "text"
      ? ` ${flag.value}`
      : flag.kind === "choice"
      ? ` ${flag.of.join("|")}`
      : " N";
    const fallback = "default" in flag && flag.default !== undefined
      ? ` (default ${flag.default}${"unit" in flag && flag.unit ? ` ${flag.unit}` : ""})`
      : "";
    return `  ${`--${name}${value}`.padEnd(34)} ${flag.does}${fallback}`;
  };
  const common = Object.entries(command.flags).filter(([name]) => name in COMMON);
  const own = Object.entries(command.flags).filter(([name]) => !(name in COMMON));
  return [
    `${command.name}: ${command.does}`,
    "",
    `  ${command.flow}`,
    "",
    ...own.map(line),
    ...(own.length > 0 ? [""] : []),
    ...common.map(line),
    "",
    ...command.examples.map((example) => `  ${example}`),
  ].join("\n");
}
