/** What a user sees of the books that `ingest` keeps. */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import { run, ticksIn, withData } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;

Deno.test("a cross is told once it has lasted as long as --crossed-for says", strict, async () => {
  const timed = (ms: number) => ({ E: 1_700_000_000_000 + ms, T: 1_700_000_000_000 + ms });
  const change = (id: number, ms: number, b: readonly string[][]) =>
    JSON.stringify({ e: "depthUpdate", ...timed(ms), s: "AB", U: id, u: id, pu: id - 1, b, a: [] });
  const lines = [
    change(2, 0, []),
    JSON.stringify({ lastUpdateId: 2, ...timed(0), bids: [["1", "1"]], asks: [["2", "1"]] }),
    change(3, 10, [["3", "1"]]),
    change(4, 1_010, []),
    change(5, 1_011, []),
    change(6, 1_012, [["3", "0"]]),
  ];
  for (const [flags, told] of [[[], [1_011, 1_012]], [["--crossed-for", "999"], [1_010, 1_012]]] as const) {
    await withData(async (data) => {
      await Deno.writeTextFile(`${data}/c.jsonl`, lines.join("\n"));
      const { text } = await run(ingest, data, "--from", `${data}/c.jsonl`, ...[
        "--venue",
        "binance-usdm",
        "--symbol",
        "AB",
      ], ...flags);
      assert.match(String(text), /\nbooks\s+crossed 1$/);
      const ticks = (await ticksIn(data)).map((message) => JSON.parse((message as string[])[2]!));
      const said = ticks.filter(({ detail }) => /crossed/.test(detail));
      assert.deepEqual(said.map(({ state, detail, eventTime }) => [state, detail, eventTime]), [
        ["silent", "book crossed: bid 3 is above ask 2", 1_700_000_000_000_000 + told[0] * 1_000],
        ["subscribed", "book uncrossed", 1_700_000_000_000_000 + told[1] * 1_000],
      ]);
    });
  }
});
