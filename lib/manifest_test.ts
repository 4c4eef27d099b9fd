/** Segments of frames begin with the day, are noted when they are closed, and expire from the front. */
import assert from "@std/assert";
import { createHash } from "node:crypto";
import { watchDisk } from "../testdata/disk.ts";
import { Cursor } from "./cursor.ts";
import { Refusal } from "./failure.ts";
import { type Frame, FRAMES, messagesOf, readFrames } from "./frames.ts";
import { Manifest, noteClosed } from "./manifest.ts";
import { expire, forecast, goneText } from "./manifest/expiry.ts";
import { survey } from "./manifest/survey.ts";
import { segmentName } from "./segment.ts";
import { Lines } from "./segment.ts";
import { openTransport, type Transport } from "./transport.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const never = new AbortController().signal;
const DAY = 86_400_000_000;
const NOON = Date.UTC(2026, 0, 1, 12) * 1000;
const PLACE = `${FRAMES}/0`;
const worldOf = (reports: string[] = []) => ({
  now: () => 0,
  env: () => undefined,
  report: (line: string) => void reports.push(line),
  retryForMs: 0,
});

/** A frame that came so many days after the first one's; null where nobody noted when. */
const frame = (number: number, day: number | null, more: Partial<Frame> = {}): Frame => ({
  ...{ venue: "binance", connection: "c", number },
  receivedTime: day === null ? null : NOON + day * DAY + number,
  frame: `{"n":${number}}`,
  ...more,
});
const keep = (log: Transport, ...frames: readonly Frame[]) => log.append(FRAMES, 0, frames.flatMap(messagesOf));

interface Tape {
  readonly log: Transport;
  readonly folder: string;
  readonly url: string;
  /** What the log said. */
  readonly reports: readonly string[];
  /** Closes the log, by when what was closed is noted. */
  readonly close: () => Promise<void>;
}

async function withTape(
  use: (tape: Tape) => Promise<void>,
  query = "",
): Promise<void> {
  const root = await Deno.makeTempDir();
  const reports: string[] = [];
  const url = `log:${root}/log?fsync=never${query}`;
  const log = await openTransport(url, worldOf(reports));
  let closed: Promise<void> | undefined;
  const close = () => closed ??= log.close();
  try {
    await log.create(FRAMES, 1);
    await use({ log, folder: `${root}/log/${FRAMES}/0`, url, reports, close });
  } finally {
    await close();
    await Deno.remove(root, { recursive: true });
  }
}

/** First offsets of the segments. */
const basesIn = (folder: string): number[] =>
  [...Deno.readDirSync(folder)].filter(({ name }) => /^\d/.test(name)).map(({ name }) => parseInt(name)).sort((a, b) =>
    a - b
  );

async function numbersFrom(log: Transport, from: number, venue = "binance"): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { frames } of readFrames(log, venue, { from }, never)) numbers.push(...frames.map((f) => f.number));
  return numbers;
}

/** Three closed segments of a day and two frames each, and the open one. */
async function fourDays(log: Transport): Promise<void> {
  for (let day = 0; day < 4; day++) await keep(log, frame(2 * day, day), frame(2 * day + 1, day));
}

Deno.test(
  "a frame of a later day begins a segment, within one append too, and one of an earlier day does not",
  strict,
  () =>
    withTape(async ({ log, folder }) => {
      await keep(log, frame(0, 0), frame(1, 0), frame(2, 1), frame(3, null), frame(4, 0), frame(5, 1), frame(6, 3));
      assert.deepEqual(basesIn(folder), [0, 2, 6]);
      await keep(log, frame(7, null), frame(8, 2));
      await keep(log, frame(9, 4));
      assert.deepEqual(basesIn(folder), [0, 2, 6, 9]);
      assert.deepEqual(await numbersFrom(log, 0), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }),
);

Deno.test(
  "the day of a segment is known again to who opens the log anew, and to another who has it open",
  strict,
  () =>
    withTape(async ({ log, folder, url }) => {
      await keep(log, frame(0, 1), frame(1, null));
      const other = await openTransport(url, worldOf());
      await keep(other, frame(2, 1));
      assert.deepEqual(basesIn(folder), [0]);
      await keep(other, frame(3, 2));
      await keep(log, frame(4, 2));
      assert.deepEqual(basesIn(folder), [0, 3]);
      await keep(log, frame(5, 3));
      await keep(other, frame(6, 3));
      assert.deepEqual(basesIn(folder), [0, 3, 5]);
      await other.close();
    }),
);

Deno.test(
  "no frame can pretend to have come on another day, and other topics know no days",
  strict,
  () =>
    withTape(async ({ log, folder }) => {
      await log.create("t", 1);
      const forged = `{,"receivedTime":${NOON + 9 * DAY},"x":1}`;
      await keep(log, frame(0, 0, { frame: forged }), { request: forged, ...frame(1, 0) });
      assert.deepEqual(basesIn(folder), [0]);
      for (const day of [0, 1, 2]) await log.append("t", 0, messagesOf(frame(day, day)));
      assert.deepEqual(basesIn(folder.replace(PLACE, "t/0")), [0]);
    }),
);

Deno.test(
  "a segment that is full is closed whatever its day, and noted",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      for (let n = 0; n < 12; n++) await keep(log, frame(n, 0));
      await close();
      const bases = basesIn(folder);
      assert.ok(bases.length > 3);
      using manifest = await Manifest.look(folder, PLACE);
      assert.deepEqual([...manifest.closed.keys()], bases.slice(0, -1));
    }, "&segment=500"),
);

Deno.test(
  "what a closed segment held is noted: whose frames, when they came, and the file's own hash",
  strict,
  () =>
    withTape(async ({ log, folder, reports, close }) => {
      const long = "x".repeat(400_000);
      await keep(log, frame(0, 0), frame(1, 0, { venue: "kraken" }), frame(2, 0, { frame: long }), frame(3, null));
      await keep(log, frame(4, -1));
      await log.append(FRAMES, 0, [{ key: null, value: '{"no":"frame"}' }]);
      await keep(log, frame(9, 1));
      await close();
      const bytes = await Deno.readFile(`${folder}/${segmentName(0)}`);
      using manifest = await Manifest.look(folder, PLACE);
      assert.deepEqual([...manifest.closed.values()], [{
        ...{ first: 0, last: 7, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
        ...{
          frames: { binance: 4, kraken: 1 },
          strange: 1,
          receivedFirst: NOON - DAY + 4,
          receivedLast: NOON + 2,
          untimed: 1,
        },
      }]);
      assert.deepEqual(reports, []);
    }),
);

Deno.test(
  "closed segments that nobody noted are noted by the next one's closing, each once",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const noted = await Deno.readTextFile(`${folder}/manifest.jsonl`);
      await Deno.remove(`${folder}/manifest.jsonl`);
      const { rows, findings } = await survey(folder, PLACE, true);
      assert.deepEqual([rows.map(({ state }) => state), findings], [["unnoted", "unnoted", "unnoted", "open"], []]);
      await Promise.all([noteClosed(folder, PLACE), noteClosed(folder, PLACE)]);
      assert.equal(await Deno.readTextFile(`${folder}/manifest.jsonl`), noted);
      assert.deepEqual(await noteClosed(folder, PLACE), []);
      assert.equal(await Deno.readTextFile(`${folder}/manifest.jsonl`), noted);
    }),
);

Deno.test(
  "an entry that was not finished is passed over by who looks, and cut by who notes",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const path = `${folder}/manifest.jsonl`;
      const noted = await Deno.readTextFile(path);
      const lines = noted.split("\n");
      for (const torn of [lines[2]!.slice(0, 40), `${lines[2]!.slice(0, 40)}\0\0\0\n`]) {
        await Deno.writeTextFile(path, lines.slice(0, 2).join("\n") + "\n" + torn);
        assert.equal((await survey(folder, PLACE, true)).rows[2]!.state, "unnoted");
        assert.deepEqual(await noteClosed(folder, PLACE), []);
        assert.equal(await Deno.readTextFile(path), noted);
      }
    }),
);

Deno.test(
  "a damaged manifest is refused by the number of its line, and so is one of another form",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const path = `${folder}/manifest.jsonl`;
      const noted = await Deno.readTextFile(path);
      const at = noted.lastIndexOf('"sha256":"') + 12;
      await Deno.writeTextFile(path, noted.slice(0, at) + (noted[at] === "0" ? "1" : "0") + noted.slice(at + 1));
      const refused = (line: number) => (error: Error) =>
        error instanceof Refusal && error.message.includes(`"${PLACE}/manifest/${line}"`);
      await assert.rejects(() => survey(folder, PLACE, false), refused(2));
      await assert.rejects(() => expire(folder, PLACE, { before: NOON, at: NOON }), refused(2));
      const other = new Lines().encode([{ key: null, value: '{"closed":{"first":0}}' }], 0);
      await Deno.writeFile(path, other);
      await assert.rejects(() => survey(folder, PLACE, false), refused(0));
    }),
);

Deno.test(
  "a byte that changed anywhere in a closed file is named by its record, its file and its bytes",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const path = `${folder}/${segmentName(2)}`;
      const sound = await Deno.readFile(path);
      const second = sound.indexOf(10) + 1;
      assert.deepEqual((await survey(folder, PLACE, true)).findings, []);
      for (let at = 0; at < sound.length; at++) {
        const bytes = sound.slice();
        bytes[at]! ^= 1;
        await Deno.writeFile(path, bytes);
        const { rows, findings } = await survey(folder, PLACE, true);
        assert.equal(rows[1]!.state, "damaged");
        assert.equal(findings.length, 1, `byte ${at}`);
        assert.equal(findings[0]!.place, `${PLACE}/${at < second ? 2 : 3}`, `byte ${at}`);
        const [, first, last] = /^\d{20}\.jsonl, bytes (\d+) to (\d+): not as it was written$/.exec(
          findings[0]!.detail,
        )!;
        assert.ok(Number(first) <= at && at <= Number(last), `byte ${at}`);
      }
    }),
);

Deno.test(
  "a closed file that was cut, lengthened, written anew or renamed is no longer what was noted",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const path = `${folder}/${segmentName(2)}`;
      const sound = await Deno.readFile(path);
      const second = sound.indexOf(10) + 1;
      const anew = new Lines();
      const lines = (...frames: Frame[]) => anew.encode(frames.flatMap(messagesOf), 2).slice();
      const cases: [Uint8Array, string, RegExp, boolean][] = [
        [sound.subarray(0, second), "3", /ends at byte \d+, and had \d+ when it was closed/, true],
        [sound.subarray(0, second + 9), "3", /ends at byte \d+, and had \d+ when it was closed/, true],
        [new Uint8Array(0), "2", /ends at byte 0, /, true],
        [Uint8Array.from([...sound, 10]), "4", /bytes \d+ to \d+: were added/, true],
        [
          lines(frame(2, 1), frame(3, 1, { frame: '{"n":4}' })),
          "2",
          /has SHA-256 .* each line by itself is sound/,
          false,
        ],
        [lines(frame(2, 1)), "3", /ends at byte/, true],
      ];
      for (const [bytes, offset, detail, isSeenBySize] of cases) {
        await Deno.writeFile(path, bytes);
        const { findings: [finding, ...others] } = await survey(folder, PLACE, true);
        assert.deepEqual([finding?.place, others], [`${PLACE}/${offset}`, []]);
        assert.match(finding!.detail, detail);
        assert.equal((await survey(folder, PLACE, false)).findings.length, isSeenBySize ? 1 : 0);
      }
      await Deno.writeFile(path, sound);
      await Deno.rename(path, `${folder}/${segmentName(1)}`);
      const found = (await survey(folder, PLACE, true)).findings;
      assert.deepEqual(found.map(({ finding, place }) => [finding, place]), [["damaged", `${PLACE}/1 to 3`], [
        "missing",
        `${PLACE}/2 to 3`,
      ]]);
    }),
);

Deno.test(
  "what is gone is missing, unless it was noted as expired: a first, a middle and a last segment",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const whole = `${folder}.whole`;
      const copy = async (from: string, to: string) => {
        await Deno.remove(to, { recursive: true }).catch(() => {});
        await Deno.mkdir(to);
        for (const { name } of Deno.readDirSync(from)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
      };
      await copy(folder, whole);
      const places = async () =>
        (await survey(folder, PLACE, false)).findings.map(({ finding, place }) => `${finding} ${place}`);
      for (const [base, found] of [[0, "0 to 1"], [4, "4 to 5"], [6, "6"]] as const) {
        await copy(whole, folder);
        await Deno.remove(`${folder}/${segmentName(base)}`);
        assert.deepEqual(await places(), [`missing ${PLACE}/${found}`]);
      }
      await copy(whole, folder);
      await Deno.remove(`${folder}/manifest.jsonl`);
      await Deno.remove(`${folder}/${segmentName(0)}`);
      assert.deepEqual(await places(), [`missing ${PLACE}/0 to 1`]);
      await Deno.remove(`${folder}/${segmentName(4)}`);
      assert.deepEqual(await places(), [`missing ${PLACE}/0 to 1`, `damaged ${PLACE}/2 to 5`]);
      await Deno.remove(whole, { recursive: true });
    }),
);

Deno.test(
  "a closed segment that is damaged before it was noted is told, stays unnoted, and is not expired",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      await Deno.remove(`${folder}/manifest.jsonl`);
      const path = `${folder}/${segmentName(2)}`;
      const bytes = await Deno.readFile(path);
      bytes[bytes.length - 20]! ^= 1;
      await Deno.writeFile(path, bytes);
      assert.match(
        (await noteClosed(folder, PLACE)).join(),
        /^Cannot read record "frames\/0\/3": its checksum does not match/,
      );
      const { rows, findings } = await survey(folder, PLACE, false);
      assert.deepEqual(rows.map(({ state }) => state), ["closed", "damaged", "closed", "open"]);
      assert.deepEqual(findings.map(({ place }) => place), [`${PLACE}/2 to 3`]);
      const { given, kept } = await expire(folder, PLACE, { before: NOON + 9 * DAY, at: NOON });
      assert.deepEqual([given.map(({ first }) => first), kept!.first], [[0], 2]);
      assert.match(kept!.why, /its checksum does not match/);
    }),
);

Deno.test(
  "an expiry removes what is older from the front, keeps its entry, and a second one finds nothing",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const noted = (await survey(folder, PLACE, true)).rows.map(({ held }) => held);
      const before = NOON + DAY + 4;
      const ahead = await forecast(folder, PLACE, before);
      const done = await expire(folder, PLACE, { before, at: NOON + 40 * DAY });
      assert.deepEqual(done, ahead);
      assert.deepEqual(done.given, noted.slice(0, 2));
      assert.deepEqual(done.kept, { first: 4, why: "its last frame came 2026-01-03T12:00:00.000Z" });
      assert.deepEqual(basesIn(folder), [4, 6]);
      assert.deepEqual(await log.ranges(FRAMES), [{ low: 4, high: 8 }]);
      const { rows, findings } = await survey(folder, PLACE, true);
      assert.deepEqual([rows.map(({ state }) => state), findings], [["expired", "expired", "closed", "open"], []]);
      assert.deepEqual(rows.map(({ held }) => held), noted);
      assert.deepEqual(rows[1]!.expired, { first: 2, at: NOON + 40 * DAY, before });
      const manifest = await Deno.readTextFile(`${folder}/manifest.jsonl`);
      assert.deepEqual(await expire(folder, PLACE, { before, at: NOON + 41 * DAY }), { given: [], kept: done.kept });
      assert.equal(await Deno.readTextFile(`${folder}/manifest.jsonl`), manifest);
    }),
);

Deno.test(
  "a frame that came just then is not older: the bound itself is kept",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      assert.deepEqual((await forecast(folder, PLACE, NOON + 1)).given.length, 0);
      assert.deepEqual((await forecast(folder, PLACE, NOON + 2)).given.length, 1);
    }),
);

Deno.test(
  "the segment that is written is never given up, however old its frames are",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      const { given, kept } = await expire(folder, PLACE, { before: NOON + 99 * DAY, at: NOON });
      assert.deepEqual([given.length, kept], [3, { first: 6, why: "it is being written" }]);
      assert.deepEqual(await keep(log, frame(8, 3)), { first: 8, next: 9 });
      await close();
      assert.deepEqual((await survey(folder, PLACE, true)).findings, []);
    }),
);

for (
  const [what, why, odd] of [
    ["a frame whose time nobody noted", /nobody noted when 1 of its frames came/, messagesOf(frame(9, null))],
    ["what is no frame", /nobody knows how old 1 of its records are/, [{ key: null, value: '{"no":"frame"}' }]],
  ] as const
) {
  Deno.test(
    `a segment that holds ${what} is kept, and all behind it`,
    strict,
    () =>
      withTape(async ({ log, folder, close }) => {
        await keep(log, frame(0, 0));
        await keep(log, frame(1, 1));
        await log.append(FRAMES, 0, odd);
        await keep(log, frame(2, 2));
        await keep(log, frame(3, 3));
        await close();
        const { given, kept } = await expire(folder, PLACE, { before: NOON + 99 * DAY, at: NOON });
        assert.deepEqual([given.map(({ first }) => first), kept!.first], [[0], 1]);
        assert.match(kept!.why, why);
      }),
  );
}

Deno.test(
  "a forecast changes nothing, and needs no entry of what is not noted yet",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      await Deno.remove(`${folder}/manifest.jsonl`);
      const deeds: string[] = [];
      {
        using _watch = watchDisk({ before: (deed) => void deeds.push(deed), after: () => {} });
        assert.equal((await forecast(folder, PLACE, NOON + 99 * DAY)).given.length, 3);
      }
      assert.deepEqual(deeds, []);
      assert.deepEqual(basesIn(folder), [0, 2, 4, 6]);
    }),
);

Deno.test(
  "an expiry is durable before the file goes, and the file is gone for good before the next one is touched",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const deeds: string[] = [];
      const short = (path: string) => path.split("/").at(-1)!.replace(/^0{19}/, "");
      {
        using _watch = watchDisk({
          before: () => {},
          after: (deed, paths) => void deeds.push(`${deed} ${paths.map(short)}`),
        });
        await expire(folder, PLACE, { before: NOON + 2 * DAY, at: NOON });
      }
      const one = (
        base: number,
      ) => ["sync 0", "write manifest.jsonl", "sync manifest.jsonl", "sync 0", `remove ${base}.jsonl`, "sync 0"];
      assert.deepEqual(deeds, ["sync 0", ...one(0), ...one(2)]);
    }),
);

Deno.test(
  "who reads a segment while it expires reads it to its end, and is told where the log begins by then",
  strict,
  () =>
    withTape(async ({ log, folder }) => {
      await fourDays(log);
      const cursor = new Cursor(folder, PLACE, 0);
      assert.equal(cursor.take(1).length, 1);
      await expire(folder, PLACE, { before: NOON + 2 * DAY, at: NOON });
      assert.equal(cursor.take(1)[0]!.offset, 1);
      const gone = /Cannot read record "frames\/0\/2": the log begins at 4, must still hold it/;
      assert.throws(() => cursor.take(1), (error: Error) => error instanceof Refusal && gone.test(error.message));
      cursor.close();
      // The name was listed, and is gone when it is opened.
      const late = new Cursor(folder, PLACE, 4);
      const open = Deno.openSync;
      try {
        Deno.openSync = (path, options) => {
          if (String(path).endsWith(segmentName(4))) Deno.removeSync(path);
          return open(path, options);
        };
        assert.throws(() => late.take(1), /Cannot read record "frames\/0\/4": the log begins at 6, must still hold it/);
      } finally {
        Deno.openSync = open;
        late.close();
      }
    }),
);

Deno.test(
  "frames are read from the first one that is kept, past the rest of one whose beginning expired",
  strict,
  () =>
    withTape(async ({ log, folder }) => {
      const [first, ...rest] = messagesOf(frame(1, 0, { frame: "x".repeat(500_000) }));
      await keep(log, frame(0, 0));
      await log.append(FRAMES, 0, [first!]);
      // Interrupted, and gone on with on another day.
      await keep(log, frame(0, 1, { venue: "kraken" }));
      await log.append(FRAMES, 0, rest);
      await keep(log, frame(2, 1), frame(3, 1));
      assert.deepEqual(await numbersFrom(log, 0), [0, 1, 2, 3]);
      await expire(folder, PLACE, { before: NOON + DAY, at: NOON });
      assert.deepEqual(await log.ranges(FRAMES), [{ low: 2, high: 8 }]);
      for (const from of [0, 1, 2]) assert.deepEqual(await numbersFrom(log, from), [2, 3]);
      assert.deepEqual(await numbersFrom(log, 0, "kraken"), [0]);
      // In the middle of what is there the same is damage.
      await assert.rejects(() => numbersFrom(log, 3), /is not the next part of its frame/);
    }),
);

Deno.test(
  "what expired is told apart from what is gone and nobody knows why",
  strict,
  () =>
    withTape(async ({ log, folder }) => {
      await fourDays(log);
      await expire(folder, PLACE, { before: NOON + 2 * DAY, at: NOON });
      const all =
        'frames "frames/0/0" to 3 expired, the last of them of 2026-01-02T12:00:00.000Z; what is kept begins at 4';
      assert.equal(await goneText(folder, PLACE, 0, 4), all);
      assert.equal(await goneText(folder, PLACE, 1, 4), all.replace("0/0", "0/1"));
      const lost =
        'frames "frames/0/4" to 5 are gone, and no manifest says that they expired; what is kept begins at 6';
      assert.equal(await goneText(folder, PLACE, 0, 6), all.replace("what is kept begins at 4", lost));
      await Deno.remove(`${folder}/manifest.jsonl`);
      assert.equal(
        await goneText(folder, PLACE, 0, 4),
        'frames "frames/0/0" to 3 are gone, and no manifest says that they expired; what is kept begins at 4',
      );
    }),
);

Deno.test(
  "a manifest that is looked at is not changed, and one that is changed is not looked at",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      using file = Deno.openSync(`${folder}/manifest.jsonl`, { read: true, write: true });
      const locks = (): boolean[] =>
        [true, false].map((isExclusive) => {
          const got = file.tryLockSync(isExclusive);
          if (got) file.unlockSync();
          return got;
        });
      {
        using _looked = await Manifest.look(folder, PLACE);
        assert.deepEqual(locks(), [false, true]);
      }
      {
        using _taken = await Manifest.take(folder, PLACE);
        assert.deepEqual(locks(), [false, false]);
      }
      assert.deepEqual(locks(), [true, true]);
    }),
);

Deno.test(
  "a segment that expires while another process is about to note it is passed over",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      await Deno.remove(`${folder}/manifest.jsonl`);
      const open = Deno.open;
      try {
        Deno.open = (path, options) => {
          if (String(path).endsWith(segmentName(0))) Deno.removeSync(path);
          return open(path, options);
        };
        assert.deepEqual(await noteClosed(folder, PLACE), []);
      } finally {
        Deno.open = open;
      }
      using manifest = await Manifest.look(folder, PLACE);
      assert.deepEqual([...manifest.closed.keys()], [2, 4]);
    }),
);

Deno.test(
  "bytes behind the last line of a closed segment are damage, noted or not",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      await Deno.writeTextFile(`${folder}/${segmentName(2)}`, "{", { append: true });
      for (const isThorough of [true, false]) {
        assert.deepEqual((await survey(folder, PLACE, isThorough)).rows[1]!.state, "damaged");
      }
      await Deno.remove(`${folder}/manifest.jsonl`);
      assert.deepEqual((await survey(folder, PLACE, false)).rows[1]!.state, "damaged");
      assert.equal((await noteClosed(folder, PLACE)).length, 1);
    }),
);

Deno.test(
  "a segment that is read in several slices is what its bytes are",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      const long = "x".repeat(150_000);
      for (let n = 0; n < 20; n++) await keep(log, frame(n, 0, { frame: long }));
      await keep(log, frame(20, 1));
      await close();
      const { rows, findings } = await survey(folder, PLACE, true);
      const bytes = await Deno.readFile(`${folder}/${segmentName(0)}`);
      assert.ok(bytes.length > 2 << 20);
      assert.deepEqual([rows[0]!.held!.sha256, rows[0]!.held!.frames, findings], [
        createHash("sha256").update(bytes).digest("hex"),
        { binance: 20 },
        [],
      ]);
    }),
);

Deno.test(
  "what was noted as expired and is still there is shown so, read on, and removed by the next expiry",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      {
        const die = (deed: string): void => {
          if (deed === "remove") throw new Error("killed");
        };
        using _watch = watchDisk({ before: die, after: () => {} });
        await assert.rejects(() => expire(folder, PLACE, { before: NOON + DAY, at: NOON }), /killed/);
      }
      const { rows, findings } = await survey(folder, PLACE, true);
      assert.deepEqual([rows.map(({ state }) => state), findings], [["expiring", "closed", "closed", "open"], []]);
      assert.deepEqual(await numbersFrom(log, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
      const { given, kept } = await expire(folder, PLACE, { before: NOON - DAY, at: NOON });
      assert.deepEqual([given.map(({ first }) => first), kept!.first], [[0], 2]);
      assert.deepEqual((await survey(folder, PLACE, true)).rows[0]!.state, "expired");
    }),
);

Deno.test(
  "what somebody removed before what expired is not taken for expired",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      await Deno.remove(`${folder}/${segmentName(0)}`);
      await expire(folder, PLACE, { before: NOON + 3 * DAY, at: NOON });
      assert.equal(
        await goneText(folder, PLACE, 0, 6),
        'frames "frames/0/2" to 5 expired, the last of them of 2026-01-03T12:00:00.000Z; frames "frames/0/0" to 1 are gone, and no manifest says that they expired; what is kept begins at 6',
      );
    }),
);

Deno.test(
  "a segment that expires while it is looked at is shown as expired",
  strict,
  () =>
    withTape(async ({ log, folder, close }) => {
      await fourDays(log);
      await close();
      const open = Deno.open;
      let expiring: Promise<unknown> | undefined;
      try {
        Deno.open = async (path, options) => {
          if (String(path).endsWith(segmentName(0))) {
            await (expiring ??= expire(folder, PLACE, { before: NOON + DAY, at: NOON }));
          }
          return await open(path, options);
        };
        const { rows, findings } = await survey(folder, PLACE, true);
        assert.deepEqual([
          rows.map(({ state }) => state),
          findings,
        ], [["expired", "closed", "closed", "open"], []]);
      } finally {
        Deno.open = open;
      }
    }),
);
