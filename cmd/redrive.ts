/**
 * Dead letters on their way back: each that is wanted enters `ticks.raw` anew, of the same key and partition, with its
 * first place and its first time of receipt, and is judged by the rules in force. Each once: a second run adds nothing.
 *
 * **In** the dead letters, of the hot store or of `ticks.rejected`, **Out** `ticks.raw`.
 * **Knows** `letter`, `redrive`, `rule`, `circuit`, `columns`, `tape`, `stage`, `crew`.
 */
import { isFlood } from "../lib/circuit.ts";
import { columns } from "../lib/columns.ts";
import { start } from "../lib/crew.ts";
import { Misuse, Outage } from "../lib/failure.ts";
import { contentsOf, isWanted, lettersInHot, lettersInTopic, SEVERITIES, sinceOf } from "../lib/letter.ts";
import { beginOf, type Fate, FATES, isHad, isRepeated, isStored, messageOf, type Wanted } from "../lib/redrive.ts";
import { type Aftermath, aftermathOf } from "../lib/redrive/aftermath.ts";
import { Echo } from "../lib/redrive/echo.ts";
import { History, type Run } from "../lib/redrive/history.ts";
import { RULES } from "../lib/rule.ts";
import { defineStage } from "../lib/stage.ts";
import { assertSame } from "../lib/tape.ts";
import { type Message, TOPICS } from "../lib/transport.ts";

/** Messages of one append; between two it is looked at what came back. */
const PORTION = 500;
/** Fewer judged messages than these are no share. */
const JUDGED_MIN = 100;
/** Between two looks at a judge that is behind, ms. */
const LOOK_MS = 250;
const GROUPS_SHOWN = 20;
const RUNS_SHOWN = 20;

const stage = defineStage({
  name: "redrive",
  does: "sends dead letters back into ticks.raw, each once, to be judged by the rules in force",
  reads: [TOPICS.valid, TOPICS.rejected],
  writes: [TOPICS.raw],
  needs: ["hot"],
  flags: {
    what: {
      kind: "word",
      of: ["history"],
      value: "history",
      does: "every run so far and what became of its letters, instead of redriving",
    },
    reason: {
      kind: "text",
      value: "RULE",
      of: RULES.map(({ name }) => name),
      does: "letters whose first broken rule it is",
    },
    venue: { kind: "text", value: "VENUE", does: "letters of a venue" },
    symbol: { kind: "text", value: "SYMBOL", does: "letters of an instrument, as the venue writes it" },
    severity: { kind: "choice", of: ["any", ...SEVERITIES], default: "any", does: "what was rejected, or set apart" },
    since: { kind: "text", value: "1h|TIME", does: "letters that were received since then" },
    store: {
      kind: "choice",
      of: ["any", "hot", "topic"],
      default: "any",
      does: "where the letters are read: any is hot, and the topic where hot has none",
    },
    "replays-max": { kind: "count", default: 5, min: 1, max: 1_000, does: "how often one message is redriven" },
    "ahead-max": { kind: "count", default: 10_000, min: 1, unit: "messages", does: "sent and not judged yet" },
    "reject-share-max": {
      ...{ kind: "amount", default: 0.5, max: 1 },
      does: "opens the circuit when more of what was redriven is rejected again",
    },
    circuit: { kind: "choice", of: ["on", "off"], default: "on", does: "off goes on whatever comes back" },
    "dry-run": { kind: "switch", does: "says what would be sent, and sends nothing" },
  },
  examples: [
    "deno task redrive --reason grid --symbol TTF-GAS --dry-run",
    "deno task redrive --reason grid --symbol TTF-GAS",
    "deno task redrive --since 2026-11-20T10:00:00Z --replays-max 2",
    "deno task redrive history",
  ],
  looks: (values) => values["dry-run"] || values.what === "history",
  async run({ values, hot, send, ranges, log, tape, tally, world, until, signal }) {
    const isDry = values["dry-run"] || values.what === "history";
    const { epoch, checkpoint } = isDry
      ? { epoch: 0, checkpoint: await log.load("redrive", 0) }
      : await log.claim("redrive", 0);
    const history = new History(checkpoint?.state ?? null);
    const isInHot = (await hot.holdings()).some(({ topic }) => topic === TOPICS.rejected);
    if (values.what === "history") {
      const { last, runs } = history;
      if (last?.state === "open") await history.follow(last, log, await ranges(TOPICS.raw));
      const after = await aftermathOf(runs, { log, ranges, stored: isInHot ? lettersInHot(hot) : null });
      return historyOf(runs.map((run, i) => ({ ...run, ...after[i]! })));
    }
    assertSame("redrive", history.tape ?? {}, tape);
    let saves = checkpoint?.nextOffset ?? 0;
    const save = () => log.save("redrive", 0, { epoch, nextOffset: ++saves, state: history.text(tape) });
    const raw = await ranges(TOPICS.raw);
    const shareMax = values.circuit === "off" ? 1 : values["reject-share-max"];
    const { last } = history;
    if (!isDry && last?.state === "open") {
      await history.close(last, log, raw);
      world.report(`run ${last.id} was interrupted, and had sent ${last.sent.toLocaleString("en")} messages`);
      await save();
    }
    if (!isDry && last !== undefined) {
      const echo = new Echo(last, log, ranges);
      await echo.look();
      open(last, echo);
      tally.set("circuit_open", Number(last.state === "circuit"), "redrive");
      if (last.state === "circuit" && (last.share ?? 1) > shareMax) {
        await save();
        return refusal(last);
      }
    }
    const wanted: Wanted = {
      ...{ reason: values.reason ?? null, venue: values.venue ?? null, symbol: values.symbol ?? null },
      severity: values.severity === "any" ? null : values.severity,
      since: values.since === undefined ? null : sinceOf(values.since, world.now() * 1_000),
      replaysMax: values["replays-max"],
    };
    if (values.store === "hot" && !isInHot) {
      throw new Misuse(
        "Cannot redrive from the hot store: sink-hot has stored no dead letters, must have, or --store topic",
      );
    }
    const isFromHot = values.store !== "topic" && isInHot;
    const letters = isFromHot ? lettersInHot(hot) : lettersInTopic(log, () => ranges(TOPICS.rejected), signal);
    const rejected = await ranges(TOPICS.rejected);
    const run = history.begin({
      ...{ id: `redrive-${epoch}`, at: world.now(), wanted, store: letters.store },
      upTo: raw.map((_, partition) => beginOf(history.claims, wanted, partition)),
      ...{ from: raw.map(({ high }) => high), next: raw.map(({ high }) => high), sentIn: raw.map(() => 0) },
      rejectedFrom: raw.map((_, partition) => rejected[partition]?.high ?? 0),
    });
    const { claims } = history;
    const echo = new Echo(run, log, ranges);
    const groups = new Map<string, number>();
    /** Whether too much came back; then the run says so. */
    function open(run: Run, echo: Echo): boolean {
      const { judged, returned } = echo;
      if (run.state === "circuit" || judged < JUDGED_MIN || !isFlood(returned, judged, shareMax)) return false;
      run.share = returned / judged;
      history.end(run, "circuit");
      return true;
    }
    /** Waits until not too many are unjudged. @throws {Outage} when nobody judges for so long */
    const wait = async (): Promise<void> => {
      await echo.look();
      let [seen, since] = [echo.judged, world.now()];
      for (; !signal.aborted; await until(world.now() + LOOK_MS), await echo.look()) {
        if (run.sent - echo.judged < values["ahead-max"]) return;
        if (echo.judged > seen) [seen, since] = [echo.judged, world.now()];
        else if (world.now() - since >= world.retryForMs) {
          throw new Outage(
            `Cannot redrive on: ${
              (run.sent - echo.judged).toLocaleString("en")
            } messages are sent and nobody judges them, must be judged by deno task validate; the same command goes on`,
          );
        }
      }
    };
    /** Sends what is ready of a partition; what was looked at up to `upTo` is had from then on. */
    const emit = async (partition: number, portion: Message[], upTo: number): Promise<void> => {
      if (!isDry && portion.length > 0) {
        await wait();
        if (signal.aborted) return;
        // Who has lost the claim learns it here, before it sends what another one sends as well.
        await save();
        const { first, next } = await send(TOPICS.raw, partition, portion);
        echo.sent(partition, first, next);
        await log.sync(TOPICS.raw, partition, next);
        run.next[partition] = next;
        tally.add("letters_redriven_total", portion.length);
      }
      run.sentIn[partition]! += portion.length;
      run.sent += portion.length;
      run.upTo[partition] = upTo;
    };
    if (!isDry) await save();
    partitions: for (const [partition, { high }] of raw.entries()) {
      let portion: Message[] = [];
      let looked = run.upTo[partition]!;
      for await (const chunk of letters.read(partition, looked, high)) {
        for (const letter of chunk) {
          looked = letter.origin + 1;
          const contents = contentsOf(letter);
          if (!isWanted(wanted, letter, contents)) continue;
          run.letters++;
          const message = messageOf(letter, contents);
          const fate: Fate | null = isHad(claims, letter, contents)
            ? "had"
            : letter.replays >= wanted.replaysMax
            ? "ceiling"
            : message === null
            ? "unfit"
            : isRepeated(letter, contents)
            ? "repeated"
            : isFromHot && await isStored(hot, letter, contents)
            ? "stored"
            : null;
          if (fate !== null) {
            run.fates[fate]++;
            continue;
          }
          const group = `${letter.reason}\n${contents.venue ?? "-"}\n${contents.symbol ?? "-"}`;
          groups.set(group, (groups.get(group) ?? 0) + 1);
          // Numbered by the letter, so that the log itself shows how far an interrupted run came.
          portion.push({ ...message!, producer: { id: run.id, epoch, number: letter.origin } });
          if (portion.length < PORTION) continue;
          await emit(partition, portion, looked);
          portion = [];
          if (signal.aborted) break partitions;
          await echo.look();
          if (open(run, echo)) break partitions;
        }
        if (signal.aborted) break partitions;
      }
      await emit(partition, portion, looked);
      if (signal.aborted) break;
    }
    await echo.look();
    if (run.state === "open" && !open(run, echo)) history.end(run, signal.aborted ? "stopped" : "done");
    if (!isDry) await save();
    tally.set("circuit_open", Number(run.state === "circuit"), "redrive");
    const summary = summaryOf(run, groups, isDry);
    return run.state === "circuit" ? { ...summary, ...refusal(run) } : summary;
  },
});

/** The circuit is open: what is wrong, and how to go on. */
function refusal({ id, share = 1, sent }: Run) {
  const percent = `${Math.round(share * 100)} %`;
  const detail = `${percent} of what ${id} sent was rejected again, ${
    sent.toLocaleString("en")
  } sent: deno task rejects list shows why; once that is mended, go on with --circuit off or a higher --reject-share-max`;
  return {
    text: `the circuit is open: ${detail}`,
    findings: [{ finding: "circuit open", place: id, detail }],
  };
}

function summaryOf(run: Run, groups: ReadonlyMap<string, number>, isDry: boolean) {
  const shown = (n: number): string => n.toLocaleString("en");
  const sent = [...groups].sort(([, a], [, b]) => b - a).map(([group, count]) => {
    const [reason, venue, symbol] = group.split("\n") as [string, string, string];
    return { reason, venue, symbol, count };
  });
  const fates = Object.entries(run.fates).filter(([, n]) => n > 0) as [Fate, number][];
  const rows = sent.slice(0, GROUPS_SHOWN).map((
    { reason, venue, symbol, count },
  ) => [reason, venue, symbol, shown(count)]);
  return {
    text: [
      `${isDry ? "would send" : "sent"} ${shown(run.sent)} of ${shown(run.letters)} letters that are wanted, from ${
        run.store === "hot" ? "hot" : TOPICS.rejected
      }`,
      ...fates.map(([fate, n]) => `${shown(n)} ${FATES[fate]}`),
      ...(rows.length > 0 ? ["", ...columns([["reason", "venue", "symbol", "letters"], ...rows], isWord)] : []),
      ...(sent.length > rows.length ? [`and ${shown(sent.length - rows.length)} more, see --json`] : []),
    ].join("\n"),
    ...{ run: isDry ? null : run.id, store: run.store, letters: run.letters, redriven: run.sent, fates: run.fates },
    ...{ groups: sent, dryRun: isDry },
  };
}

const NUMBERS = new Set(["letters", "sent", "accepted", "rejected", "unjudged"]);
const isWord = (name: string): boolean => !NUMBERS.has(name);

/** Every run, and what became of what it sent. */
function historyOf(runs: readonly (Run & Aftermath)[]) {
  const shown = (n: number | null): string => n === null ? "?" : n.toLocaleString("en");
  const rows = runs.slice(-RUNS_SHOWN).map(({ id, at, state, wanted, share, ...run }) => [
    id,
    new Date(at).toISOString(),
    share === undefined ? state : `${state} ${Math.round(share * 100)} %`,
    ...[run.letters, run.sent, run.accepted, run.rejected, run.unjudged].map(shown),
    wantedText(wanted),
  ]);
  const head = ["run", "at", "state", "letters", "sent", "accepted", "rejected", "unjudged", "wanted"];
  return {
    text: [
      ...(runs.length === 0 ? ["nothing was redriven yet"] : columns([head, ...rows], isWord)),
      ...(runs.some(({ rejected }) => rejected === null)
        ? ["?  ticks.rejected has expired since, and sink-hot has not stored it"]
        : []),
    ].join("\n"),
    runs,
  };
}

/** What was wanted, as the flags say it. */
function wantedText({ since, ...wanted }: Wanted): string {
  const { replaysMax, ...filter } = wanted;
  return [
    ...Object.entries(filter).filter(([, value]) => value !== null).map(([name, value]) => `--${name} ${value}`),
    ...(since === null ? [] : [`--since ${new Date(since / 1_000).toISOString()}`]),
    `--replays-max ${replaysMax}`,
  ].join(" ");
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
