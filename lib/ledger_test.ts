import assert from "@std/assert";
import { crc32 } from "node:zlib";
import { Refusal } from "./failure.ts";
import type { Line } from "./lake/file/account.ts";
import { Ledger, readLedger, sha256 } from "./lake/file/ledger.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const place = { sink: "s", topic: "t", partition: 0, identity: "log", since: 1, pid: 1 };
const owner = (epoch: number, next = 0, origin = -1): Line => ({
  kind: "owner",
  format: 1,
  ...place,
  epoch,
  next,
  origin,
});
const unit = (first: number, last: number, next: number, epoch = 1): Line => ({
  kind: "unit",
  epoch,
  first,
  last,
  next,
  engine: "e",
  files: [],
});
const intent = (first: number, last: number): Line => ({ kind: "intent", epoch: 1, first, last });

async function inFile(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/a.ledger`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
async function written(path: string, lines: readonly Line[]): Promise<Ledger> {
  const ledger = await Ledger.open(path, () => {});
  for (const line of lines) await ledger.append(line);
  return ledger;
}

/** A file of well-formed, chained lines, whatever they say. */
function forged(entries: readonly object[]): string {
  let prev = "0".repeat(64);
  return entries.map((entry) => {
    const text = JSON.stringify({ ...entry, prev });
    prev = sha256(new TextEncoder().encode(text));
    return `${String(text.length).padStart(8, "0")} ${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
  }).join("");
}

Deno.test("entries come back as what they come to", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1), intent(3, 5), unit(3, 5, 9), owner(2, 9, 5), unit(6, 6, 10, 2)]);
    const { end: _end, head: _head, torn, fault, ...account } = await readLedger(path);
    assert.deepEqual([torn, fault], [0, null]);
    assert.deepEqual(account, ledger.account);
    assert.deepEqual(account.holding, {
      sink: "s",
      topic: "t",
      partition: 0,
      identity: "log",
      epoch: 2,
      next: 10,
      origin: 6,
      since: 1,
    });
    assert.deepEqual([account.intent, account.units.length], [null, 2]);
  }));

Deno.test(
  "a ledger cut at any byte loses its unfinished line alone, and can be written on",
  strict,
  () =>
    inFile(async (path) => {
      await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4)]);
      const whole = await Deno.readFile(path);
      const ends = [...whole].flatMap((byte, i) => byte === 10 ? [i + 1] : []);
      for (let cut = 0; cut < whole.length; cut++) {
        await Deno.writeFile(path, whole.subarray(0, cut));
        const kept = ends.filter((end) => end <= cut);
        const { end, torn, fault } = await readLedger(path);
        assert.deepEqual([end, torn, fault], [kept.at(-1) ?? 0, cut - (kept.at(-1) ?? 0), null], `cut at ${cut}`);
      }
      const lines: string[] = [];
      const ledger = await Ledger.open(path, (line) => lines.push(line));
      assert.equal(lines.length, 1);
      await ledger.append(unit(2, 3, 4));
      assert.deepEqual(await Deno.readFile(path), whole);
    }),
);

/** A ledger whose last line, a unit's of many files, lies in several sectors. */
async function spread(path: string): Promise<{ readonly bytes: Uint8Array; readonly last: number }> {
  const ledger = await written(path, [owner(1), unit(0, 1, 2)]);
  const files = Array.from({ length: 6 }, (_, day) => ({
    ...{ table: "trades", date: `2024-08-0${day + 1}`, path: `trades/date=2024-08-0${day + 1}/t.parquet` } as const,
    ...{ rows: 1, bytes: 1, sha256: "a".repeat(64) },
  }));
  await ledger.append({ ...unit(2, 3, 4), files } as Line);
  const bytes = await Deno.readFile(path);
  return { bytes, last: bytes.lastIndexOf(10, bytes.length - 2) + 1 };
}
const SECTOR = 512;

Deno.test(
  "a hole of zeros that ends with a sector or the file is a crash's, and is cut",
  strict,
  () =>
    inFile(async (path) => {
      const { bytes, last } = await spread(path);
      const edge = Math.ceil(last / SECTOR) * SECTOR;
      const holes = [[last, bytes.length], [last + 30, bytes.length], [last, edge], [edge - 1, edge], [
        edge,
        edge + SECTOR,
      ]];
      for (const [from, to] of holes) {
        await Deno.writeFile(path, bytes.slice().fill(0, from, to));
        const { end, torn, fault } = await readLedger(path);
        assert.deepEqual([end, torn, fault], [last, bytes.length - last, null], `zeros from ${from} to ${to}`);
      }
      for (
        const [from, to] of [[last, bytes.length - 1], [edge, edge + 1], [edge - 9, edge - 8], [edge - 1, edge + 1]]
      ) {
        await Deno.writeFile(path, bytes.slice().fill(0, from, to));
        const { torn, fault } = await readLedger(path);
        assert.deepEqual([torn, fault?.kind], [0, "ledger"], `zeros from ${from} to ${to}`);
      }
    }),
);

Deno.test(
  "a whole line whose end is missing is a crash's; one whose end is another is damage",
  strict,
  () =>
    inFile(async (path) => {
      const { bytes, last } = await spread(path);
      for (
        const [rest, isTear] of [["", true], ["\0", true], ["\0\0\0", true], ["\v", false], [" \n", false]] as const
      ) {
        await Deno.writeFile(path, new Uint8Array([...bytes.subarray(0, -1), ...new TextEncoder().encode(rest)]));
        const { end, torn, fault } = await readLedger(path);
        assert.deepEqual([end, torn > 0, fault === null], [last, isTear, isTear], JSON.stringify(rest));
      }
    }),
);

Deno.test("any flipped bit is found, and nothing is cut", strict, () =>
  inFile(async (path) => {
    const kept = new URL("../testdata/formats/1/lake/_ledger/ticks.valid-0.ledger", import.meta.url);
    await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4)]);
    // Every bit of a small one, and one bit of each byte of a real one.
    for (const [whole, step] of [[await Deno.readFile(path), 1], [await Deno.readFile(kept), 8]] as const) {
      for (let at = 0; at < whole.length; at++) {
        for (let bit = step === 1 ? 0 : at % 8; bit < 8; bit += step) {
          const changed = whole.slice();
          changed[at]! ^= 1 << bit;
          Deno.writeFileSync(path, changed);
          const { torn, fault } = await readLedger(path);
          assert.deepEqual([torn, fault?.kind], [0, "ledger"], `byte ${at}, bit ${bit}`);
          if (at % 50 === bit) await assert.rejects(Ledger.open(path, () => {}), Refusal);
        }
      }
    }
  }));

Deno.test(
  "a space that loses its bit where a sector ends looks torn, and is the only one",
  strict,
  () =>
    inFile(async (path) => {
      const header = 18;
      const { length } = forged([owner(1)]);
      // The space before the second line's text is the last byte of a sector.
      const sink = "s" + "x".repeat((2 * SECTOR - header - length) % SECTOR);
      await Deno.writeTextFile(path, forged([{ ...owner(1), sink }, unit(0, 1, 2)]));
      const whole = await Deno.readFile(path);
      const last = whole.lastIndexOf(10, whole.length - 2) + 1;
      assert.equal((last + header) % SECTOR, 0);
      const torn: number[] = [];
      for (let at = 0; at < whole.length; at++) {
        if (whole[at] !== 0x20) continue;
        await Deno.writeFile(path, whole.with(at, 0));
        const reading = await readLedger(path);
        if (reading.torn > 0) torn.push(at);
        else assert.equal(reading.fault?.kind, "ledger");
      }
      assert.deepEqual(torn, [last + header - 1]);
    }),
);

Deno.test(
  "a ledger of a newer format is refused for that, wherever it begins; an older one is read",
  strict,
  () =>
    inFile(async (path) => {
      for (const entries of [[{ ...owner(1), format: 99 }], [owner(1), { ...owner(2), format: 99, more: 1 }]]) {
        await Deno.writeTextFile(path, forged(entries));
        for (const open of [() => readLedger(path), () => Ledger.open(path, () => {})]) {
          await assert.rejects(
            open,
            /^Refusal: Cannot open ledger ".*": its format is 99, must be at most 2 \(a newer/,
          );
        }
      }
      const gap = { kind: "gap", epoch: 2, next: 9, at: 1 };
      await Deno.writeTextFile(path, forged([owner(1), { ...owner(2), format: 2 }, gap]));
      assert.deepEqual([(await readLedger(path)).fault, (await readLedger(path)).gaps.length], [null, 1]);
    }),
);

Deno.test("a line that is taken out, put in or exchanged breaks the chain", strict, () =>
  inFile(async (path) => {
    await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4), unit(4, 5, 6)]);
    const [a, b, c, d] = (await Deno.readTextFile(path)).split(/(?<=\n)/) as [string, string, string, string];
    for (const lines of [[a, c, d], [a, b, b, c, d], [a, c, b, d], [b, c, d]]) {
      await Deno.writeTextFile(path, lines.join(""));
      assert.match((await readLedger(path)).fault?.detail ?? "", /chain is broken/);
    }
  }));

Deno.test("a well-chained ledger that cannot be is told by kind", strict, () =>
  inFile(async (path) => {
    const cases: readonly (readonly [string, readonly object[]])[] = [
      ["overlap", [owner(1), unit(0, 5, 6), unit(5, 9, 10)]],
      ["overlap", [owner(1), unit(5, 4, 6)]],
      ["overlap", [owner(1), unit(0, 5, 6), unit(6, 9, 5)]],
      ["ledger", [unit(0, 5, 6)]],
      ["ledger", [owner(2)]],
      ["ledger", [owner(1), owner(3)]],
      ["ledger", [owner(1), owner(2), unit(0, 5, 6, 1)]],
      ["ledger", [owner(1), owner(2, 7)]],
      ["ledger", [owner(1), intent(0, 5), unit(0, 6, 7)]],
      ["ledger", [{ ...owner(1), format: 0 }]],
      ["ledger", [{ ...owner(1), more: 1 }]],
    ];
    for (const [kind, entries] of cases) {
      await Deno.writeTextFile(path, forged(entries));
      assert.equal((await readLedger(path)).fault?.kind, kind, JSON.stringify(entries));
      await assert.rejects(Ledger.open(path, () => {}), Refusal);
    }
  }));

Deno.test("what cannot follow is never written", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1), unit(0, 5, 6)]);
    const before = await Deno.readFile(path);
    for (const line of [unit(5, 7, 8), unit(6, 7, 5), unit(6, 7, 8, 2), owner(1), intent(4, 9)]) {
      await assert.rejects(ledger.append(line), Refusal);
    }
    assert.deepEqual(await Deno.readFile(path), before);
    await ledger.append(unit(6, 7, 8));
  }));

Deno.test("two appends at once are one append and one refusal", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1)]);
    const outcomes = await Promise.allSettled([ledger.append(unit(0, 1, 2)), ledger.append(unit(0, 1, 2))]);
    assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
    assert.equal((await readLedger(path)).units.length, 1);
  }));
