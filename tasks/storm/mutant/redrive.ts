/**
 * The guards of dead letters on their way back: each is sent once, as what it was, and no flood of them goes on unseen.
 *
 * **Knows** `mutant`.
 */
import { guard, line, type Mutant } from "../mutant.ts";

const LAW = ["tasks/redrive_test.ts"], FALLS = ["tasks/redrive_storm_test.ts"], JUDGED = ["lib/redrive_test.ts"];
const LETTERS = ["tasks/rejects_test.ts"], RETURN = ["lib/redrive_echo_test.ts"];
const AFTER = ["lib/redrive_aftermath_test.ts"];

export const REDRIVE: readonly Mutant[] = [
  line("letters that a run has had", "cmd/redrive.ts", "isHad(claims, letter, contents)\n", LAW, {
    put: "(false as boolean)\n",
  }),
  line("ceiling of replays", "cmd/redrive.ts", "letter.replays >= wanted.replaysMax\n", LAW, {
    put: "(false as boolean)\n",
  }),
  line(
    "letters that a run left at its ceiling",
    "lib/redrive.ts",
    " && letter.replays < wanted.replaysMax &&\n",
    JUDGED,
    { put: " &&\n" },
  ),
  line("a letter whose tick is stored", "cmd/redrive.ts", "isFromHot && await isStored(hot, letter, contents)", LAW, {
    put: "(false as boolean)",
  }),
  line("a letter that would be a duplicate again", "cmd/redrive.ts", "isRepeated(letter, contents)\n", LAW, {
    put: "(false as boolean)\n",
  }),
  line(
    "a tick from the future is stored at its own time",
    "lib/redrive.ts",
    "    spans.push([receivedTime - NEAR, receivedTime + NEAR]);",
    LAW,
  ),
  line("claim of redrive before each append", "cmd/redrive.ts", "        await save();\n        const {", FALLS, {
    put: "        const {",
  }),
  line("synced before redrive's checkpoint", "cmd/redrive.ts", "await log.sync(TOPICS.raw, partition, next);", FALLS),
  line("what an interrupted run has sent", "cmd/redrive.ts", "      await history.close(last, log, raw);", FALLS),
  line(
    "messages of others behind an interrupted run",
    "lib/redrive/history.ts",
    "if (producer?.id !== run.id) continue;",
    FALLS,
  ),
  line("first place of what is redriven again", "lib/redrive.ts", "before?.first ?? placeOf(letter)", LAW, {
    put: "placeOf(letter)",
  }),
  line("count of replays", "lib/redrive.ts", "replays: letter.replays + 1", LAW, { put: "replays: 1" }),
  line("time of receipt of what is redriven", "lib/redrive.ts", '{ ...value, source: "redrive",', LAW, {
    put: '{ ...value, receivedTime: 1_800_000_000_000_000, source: "redrive",',
  }),
  line("partition of what is redriven", "cmd/redrive.ts", "send(TOPICS.raw, partition, portion)", LAW, {
    put: "send(TOPICS.raw, (partition + 1) % raw.length, portion)",
  }),
  line("key of what is redriven", "lib/redrive.ts", "key: letter.key", LAW, { put: "key: null" }),
  line("how a redriven tick was made", "lib/redrive.ts", "before?.made ?? (", LAW, {
    put: "before?.made ?? (false as boolean && ",
  }),
  line("rules that remembered", "lib/redrive.ts", "    ...(broke.length > 0 && { broke }),", JUDGED),
  line("letters that a wish names", "lib/redrive.ts", "&&\n    isWanted(wanted, letter, contents)", JUDGED, {
    put: "",
  }),
  line("a field that is there twice", "lib/redrive.ts", " || fields !== Object.keys(value).length", LAW, { put: "" }),
  line(
    "bound of a redriven message",
    "lib/redrive.ts",
    "Buffer.byteLength(message) > MESSAGE_BYTES_MAX ? null :",
    JUDGED,
    {
      put: "",
    },
  ),
  line("a circuit that is open stays so", "cmd/redrive.ts", "(last.share ?? 1) > shareMax", FALLS, {
    put: "(last.share ?? 1) > 1",
  }),
  line("circuit between two portions", "cmd/redrive.ts", "          if (open(run, echo)) break partitions;", FALLS),
  line("few are no flood", "cmd/redrive.ts", " || judged < JUDGED_MIN", FALLS, { put: "" }),
  line("redrive waits for the judge", "cmd/redrive.ts", 'run.sent - echo.judged < values["ahead-max"]', FALLS, {
    put: "run.sent >= 0",
  }),
  line(
    "verdicts that come twice return once",
    "lib/redrive/echo.ts",
    "if (origin <= this.#seen[partition]!) continue;",
    RETURN,
  ),
  line("live ticks that are rejected do not return", "lib/redrive/echo.ts", "replays > 0 && ", RETURN, { put: "" }),
  line("messages of another run do not return", "lib/redrive/echo.ts", " && origin >= first[partition]!", RETURN, {
    put: "",
  }),
  line("what came live does not count as rejected again", "lib/redrive/aftermath.ts", "if (replays > 0) here.", AFTER, {
    put: "here.",
  }),
  line(
    "what has expired is not guessed",
    "lib/redrive/aftermath.ts",
    "if (stored === null) sum.isKnown = false;",
    AFTER,
    {
      put: "if (stored === null) continue;",
    },
  ),
  line("tape of redrive", "cmd/redrive.ts", '    assertSame("redrive", history.tape ?? {}, tape);', FALLS),
  ...guard("newer state of redrive", "lib/redrive/history.ts", "if (state.format > FORMAT) {", FALLS),
  line(
    "what is redriven is no flood to validate",
    "cmd/validate.ts",
    " || record.producer?.id.startsWith(REDRIVEN)",
    FALLS,
    {
      put: "",
    },
  ),
  line(
    "a flood stops validate until somebody says so",
    "cmd/validate.ts",
    "  if (shareMax !== null && isFlood(opened.rejected, opened.judged, shareMax)) throw flooded(partition, opened);",
    FALLS,
  ),
  line("letters that stand twice in the topic", "lib/letter.ts", "message.origin <= highest || ", LETTERS, { put: "" }),
  line("a line that an export did not end", "lib/letter/export.ts", "  file.truncateSync(end);", LETTERS),
  line("a file that no export wrote", "lib/letter/export.ts", "      assertLetter(found !== null, number);", LETTERS, {
    put: "      if (found === null) continue;",
  }),
  line("numbers of a redriven tick were noted", "lib/judge.ts", " || value.redriven !== undefined", [
    "lib/judge_test.ts",
  ], {
    put: "",
  }),
  line(
    "live ticks do not take a redriven number",
    "lib/judge.ts",
    "series.place({ sequence, at: eventTime, isRefused: true,",
    LAW,
    {
      put: "({ place: (..._given: unknown[]): void => {} }).place({ sequence, at: eventTime, isRefused: true,",
    },
  ),
  line("redriven ticks are placed beside live ones", "lib/judge.ts", "this.#placeOf(past, tick, false,", JUDGED, {
    put: "this.#placeOf(subject, tick, false,",
  }),
  line("a tick that came back twice", "lib/books.ts", "this.#redriven.has(place) || ", LAW, { put: "" }),
  line(
    "a tick that came back and was sound before",
    "lib/books.ts",
    " || fates.covers(place) && fates.of(place) !== FATE.rejected",
    LAW,
    { put: "" },
  ),
  line("standing of a letter in the store", "lib/table.ts", "rawBase64, severity, standing];", LAW, {
    put: "rawBase64, severity, null];",
  }),
  line("how a row was made", "lib/table.ts", "tick.redriven?.made ?? tick.source", LAW, { put: "tick.source" }),
  line("severity of what was set aside before", "lib/schema.ts", "not null default 'reject'", [
    "lib/hot_sqlite_test.ts",
  ], {
    put: "not null default 'quarantine'",
  }),
];
