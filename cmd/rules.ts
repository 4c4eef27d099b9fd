/**
 * The rules in force: how severe each is, and what it compares with, per venue, symbols and type. They change by a record
 * in the log, so that every replay judges alike; what a new file would change can be seen before.
 *
 * **In** a rules file, **Out** a control record in every partition of `ticks.raw`.
 * **Knows** `enactment`, `retrial`, `judge`, `rule`, `sequence`, `calendar`, `table`, `stage`, `crew`.
 */
import { isDate } from "../lib/calendar/schedule.ts";
import { columns } from "../lib/columns.ts";
import { start } from "../lib/crew.ts";
import { enact, enacted, recordOf, rulesIn, rulesSchema } from "../lib/enactment.ts";
import { Misuse, printable, reasonOf } from "../lib/failure.ts";
import { knownIn, policiesIn } from "../lib/judge/state.ts";
import { type Change, retry } from "../lib/retrial.ts";
import { RULES, RULES_VERSION } from "../lib/rule.ts";
import { type Entry, fitsPattern, Policies, type Policy } from "../lib/rule/policy.ts";
import { DISCIPLINES } from "../lib/sequence.ts";
import { defineStage } from "../lib/stage.ts";
import { dateOf } from "../lib/table.ts";
import { type TickType, TYPES } from "../lib/tick.ts";
import { TOPICS, type Transport } from "../lib/transport.ts";

const DEEDS = ["show", "apply", "diff", "check", "schema"] as const;
/** Instruments that are named where many are the same. */
const NAMED_MAX = 3;
const CHANGES_SHOWN = 20;

const stage = defineStage({
  name: "rules",
  does: "which rules are in force, what a file would change, and the file into force",
  reads: [],
  writes: [TOPICS.raw],
  leaves: ({ deed }) => deed === "apply" ? [] : [TOPICS.raw],
  needs: [],
  flags: {
    deed: { kind: "word", of: DEEDS, value: "DEED", does: "what to do (show without it)" },
    file: { kind: "word", value: "FILE", does: "with apply, diff and check: the rules file" },
    venue: { kind: "text", value: "VENUE", does: "with show: of this venue" },
    symbol: { kind: "text", value: "SYMBOL", does: "with show: of this symbol" },
    date: { kind: "text", value: "YYYY-MM-DD", pattern: /^\d{4}-\d{2}-\d{2}$/, does: "with check: UTC date of events" },
  },
  examples: [
    "deno task rules show --venue binance --symbol BTCUSDT",
    "deno task rules check rules.json --date 2026-11-20",
    "deno task rules apply rules.json",
    "deno task rules schema > rules.schema.json",
  ],
  files: ({ file }) => ({ read: file === undefined ? [] : [file] }),
  isApart: ({ deed }) => deed === "schema",
  looks: ({ deed }) => deed !== "apply",
  async run({ values, send, ranges, log, tape, signal }) {
    const { deed = "show", file, venue, symbol, date } = values;
    if (deed === "schema") {
      // Data, which a shell sends on into a file.
      console.log(JSON.stringify(rulesSchema(), null, 2));
      return { text: "" };
    }
    const needsFile = deed !== "show";
    if (needsFile !== (file !== undefined)) {
      throw new Misuse(
        needsFile
          ? `Cannot ${deed} rules: no file is given, must be deno task rules ${deed} FILE`
          : `Cannot show rules "${file}": a file is given, must be diff or check to look at one`,
      );
    }
    if ((deed === "check") !== (date !== undefined)) {
      throw new Misuse("Cannot check rules: check and --date belong together, must both be given");
    }
    if (date !== undefined && !isDate(date)) {
      throw new Misuse(`Cannot check --date ${date}: there is no such day, must be YYYY-MM-DD`);
    }
    const said = await enacted(log);
    const rules = file === undefined ? [] : rulesIn(file, await textOf(file));
    const states = await statesOf(log);
    const known = knownIn(states.map(({ state }) => state));
    const venues = new Set([...Object.keys(DISCIPLINES), ...known.map(([venue]) => venue)]);
    const entries = rules.map((entry, i) => [entry.venue, `rules "${file}": rules.${i}.venue`] as const);
    for (const [name, place] of [[venue, "--venue"] as const, ...entries]) {
      if (name === undefined || venues.has(name)) continue;
      throw new Misuse(
        `Cannot use ${place} "${name}": it is unknown, must be one of ${[...venues].toSorted().join(", ")}`,
      );
    }
    const unseen = unseenText(rules, known);
    if (deed === "apply") {
      const { at, isNew } = await enact(rules, {
        ...{ places: await ranges(TOPICS.raw), log, tape },
        send: (partition, messages) => send(TOPICS.raw, partition, messages),
      });
      const places = at.map((offset, partition) => `${partition}/${offset}`).join(", ");
      return {
        text: [
          isNew ? `rules in force from ${TOPICS.raw} ${places} on` : "these rules are in force already, nothing to add",
          ...unseen,
        ].join("\n"),
        ...{ isNew, at },
      };
    }
    const now = new Policies(states[0] === undefined ? undefined : policiesIn(states[0].state).base, said?.rules ?? []);
    if (deed === "show") {
      const waiting = (said?.at ?? []).flatMap((offset, partition) => {
        const judged = states[partition]?.nextOffset ?? 0;
        return judged > offset ? [] : [`${partition}/${offset}`];
      });
      return shown(now, said?.at ?? null, waiting, venue, symbol);
    }
    if (deed === "diff") {
      const { text, changes } = differing(now, new Policies(now.base, rules), known);
      const whom = changes.length === 0 && unseen.length > 0 ? " for any instrument so far" : "";
      return { text: [text + whom, ...unseen].join("\n"), changes };
    }
    const day = {
      log,
      topic: TOPICS.raw,
      ranges: await ranges(TOPICS.raw),
      date: date!,
      record: recordOf(rules),
      signal,
    };
    const tried = await retry(day);
    const { judged, changed, passing, changes, span } = tried;
    if (judged === 0) {
      const days = span === null ? undefined : [...new Set(span.map(dateOf))].join(" to ");
      const detail = `${TOPICS.raw} has no message of it${days === undefined ? "" : `, and sound ones of ${days}`}`;
      return { text: `${date}: ${detail}`, ...tried, findings: [{ finding: "no message", place: date!, detail }] };
    }
    return {
      text: [
        `${shownCount(judged)} messages of ${date}: ${shownCount(changed)} verdicts would be others, ` +
        `${shownCount(passing.was)} passed and ${shownCount(passing.would)} would`,
        ...changes.slice(0, CHANGES_SHOWN).flatMap(changeText),
        ...(changes.length > CHANGES_SHOWN
          ? [`and ${shownCount(changes.length - CHANGES_SHOWN)} more changes, see --json`]
          : []),
        ...unseen,
      ].join("\n"),
      ...tried,
    };
  },
});

const shownCount = (n: number): string => n.toLocaleString("en");

function changeText({ was, would, count, examples }: Change): string[] {
  return [
    `  ${was} → ${would}  ${shownCount(count)}`,
    ...examples.map(({ place, message }) => `    ${place}  ${printable(message)}`),
  ];
}

async function textOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Misuse(`Cannot read rules "${path}": ${reasonOf(error)}, must be a JSON file`, { cause: error });
  }
}

/** What `validate` has saved in each partition; none where it never ran. */
async function statesOf(log: Pick<Transport, "load">): Promise<{ nextOffset: number; state: string }[]> {
  const states: { nextOffset: number; state: string }[] = [];
  for (let partition = 0;; partition++) {
    const checkpoint = await log.load("validate", partition);
    if (checkpoint === null) return states;
    states.push(checkpoint);
  }
}

/** The name of whatever an entry speaks of. */
function subjectOf({ venue, symbol, type }: Entry): string {
  return [venue ?? "every venue", symbol ?? "every symbol", type ?? "every type"].join(" ");
}

/** Entries that say nothing of any instrument so far. */
function unseenText(rules: readonly Entry[], known: readonly (readonly [venue: string, symbol: string])[]): string[] {
  return rules.flatMap((entry, i) => {
    const { venue, symbol } = entry;
    if (venue === undefined && symbol === undefined) return [];
    const isSeen = known.some(([of, name]) =>
      (venue === undefined || venue === of) && (symbol === undefined || fitsPattern(name, symbol))
    );
    return isSeen ? [] : [printable(`entry ${i}, of ${subjectOf(entry)}, is of no instrument that validate has seen`)];
  });
}

/** What is in force for one instrument, or for all of which no entry speaks. */
function shown(policies: Policies, at: readonly number[] | null, waiting: readonly string[], venue = "", symbol = "") {
  const of = TYPES.map((type) => policies.of(venue, symbol, type));
  const rules = RULES.map(({ name, why }) => [name, ...of.map(({ severities }) => severities[name]!), why]);
  const limits = Object.keys(policies.base).map((
    name,
  ) => [name, ...of.map((p) => String(p.limits[name as "lateMsMax"]))]);
  const text = [
    `rules ${RULES_VERSION}${at === null ? ", no file was ever applied" : `, by the file at ${at.join(", ")}`}`,
    ...(waiting.length > 0 ? [`validate has not reached ${waiting.join(", ")} yet`] : []),
    "",
    ...columns([["rule", ...TYPES, "broken by a message when"], ...rules], () => true),
    "",
    ...columns(
      [["limit", ...TYPES], ...limits, ["calendar", ...of.map(({ calendar }) => calendar ?? "none")]],
      () => true,
    ),
    ...(policies.entries.length > 0 ? ["", "entries, of which the later counts:"] : []),
    ...policies.entries.map((entry, i) => {
      const { severity, limits, calendar } = entry;
      return printable(`  ${i}  ${subjectOf(entry)}  ${JSON.stringify({ severity, limits, calendar })}`);
    }),
  ];
  return {
    text: text.join("\n"),
    ...{ version: RULES_VERSION, at, waiting, entries: policies.entries },
    inForce: Object.fromEntries(TYPES.map((type, i) => [type, inForce(of[i]!)])),
  };
}

const inForce = ({ severities, limits, calendar }: Policy) => ({
  ...severities,
  ...limits,
  calendar: calendar ?? "none",
});

/** What would be in force otherwise, for instruments that are known and for all others. */
function differing(now: Policies, then: Policies, known: readonly (readonly [venue: string, symbol: string])[]) {
  const whom = new Map<string, string[]>();
  const compare = (venue: string, symbol: string, type: TickType, name: string): void => {
    const [was, would] = [now, then].map((policies): Record<string, unknown> =>
      inForce(policies.of(venue, symbol, type))
    );
    for (const [what, value] of Object.entries(would!)) {
      if (was![what] === value) continue;
      const change = `${type}  ${what}: ${was![what]} → ${value}`;
      whom.set(change, [...whom.get(change) ?? [], name]);
    }
  };
  for (const type of TYPES) {
    compare("", "", type, "all of which no entry speaks");
    for (const [venue, symbol] of known) compare(venue, symbol, type, `${venue}:${symbol}`);
  }
  const changes = Array.from(whom, ([change, names]) => ({ change, instruments: names }));
  const lines = changes.map(({ change, instruments }) => {
    const more = instruments.length > NAMED_MAX ? ` and ${instruments.length - NAMED_MAX} more` : "";
    return printable(`  ${change}  ${instruments.slice(0, NAMED_MAX).join(", ")}${more}`);
  });
  return {
    text: lines.length === 0 ? "nothing would change" : ["would change:", ...lines].join("\n"),
    changes,
  };
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
