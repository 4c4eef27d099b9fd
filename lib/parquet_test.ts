import assert from "@std/assert";
import { interpreterWithPyarrow } from "../testdata/pyarrow.ts";
import fc from "fast-check";
import { canonical } from "./decimal.ts";
import { Draft, query, read, warm, wasmPath, write } from "./parquet.ts";
import { type Row, type TableName, TABLES } from "./table.ts";
import { sha256 } from "./lake/file/ledger.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const DAY = 1_700_000_000_000_000;

// The engine opens a message port for good, which the first test would be blamed for.
await warm();

function common(origin: number, symbol = "BTCUSDT", eventTime = DAY + origin): (string | number | null)[] {
  return [3, origin, "sim", symbol, eventTime, eventTime + 250, null, origin + 1, null, null, null, null];
}
const quote = (origin: number, sizes: readonly [string, string], symbol?: string): Row => [
  ...common(origin, symbol),
  "60000.5",
  sizes[0],
  "60000.75",
  sizes[1],
];

async function fileOf(table: TableName, rows: readonly Row[]): Promise<Uint8Array> {
  const draft = new Draft(TABLES[table]);
  for (const row of rows) draft.add(row);
  return await write(3, draft);
}
async function roundTrip(table: TableName, rows: readonly Row[]): Promise<readonly Row[]> {
  return await read(TABLES[table], await fileOf(table, rows));
}

Deno.test("what duckdb writes, hyparquet reads, value for value, in every table", strict, async () => {
  const rows: Record<TableName, Row[]> = {
    trades: [
      [...common(5), "0.000000000001", "-12.5", "buy", null],
      [...common(9), "99999999999999999999999999.999999999999", "0", "unknown", '["I","\\u0007"]'],
    ],
    quotes: [quote(1, ["1", "2.5"]), [...common(2), null, null, "0.1", "3"], [...common(4), null, null, null, null]],
    books: [[...common(7), '[["1.5","2"]]', "[]"]],
    deltas: [[...common(8), "[]", '[["1","0"]]', 12, 9_007_199_254_740_991, null]],
    status: [[...common(3), "gap", null, null, 'a "quoted" detail']],
  };
  for (const [table, given] of Object.entries(rows)) {
    assert.deepEqual(await roundTrip(table as TableName, given), given, table);
  }
});

Deno.test(
  "rows come back in the order of their origin and lie in the order of symbol, time and origin",
  strict,
  async () => {
    const rows = [quote(1, ["1", "1"], "ZZZ"), quote(2, ["1", "1"], "AAA"), quote(3, ["1", "1"], "ZZZ")];
    const bytes = await fileOf("quotes", rows);
    assert.deepEqual(await read(TABLES.quotes, bytes), rows);
    await inFile(bytes, async (path) => {
      const origins = (await query([path], "SELECT origin FROM ticks")).map((row) => row.origin);
      assert.deepEqual(origins, [2, 1, 3]);
    });
  },
);

Deno.test(
  "any text survives: tabs, line ends, quotes, backslashes, control characters, empty or null",
  strict,
  async () => {
    const hard = [
      "",
      "\t",
      "\n",
      "\r\n",
      '"',
      '""',
      "\\",
      "\\N",
      "\\.",
      "\x00",
      "\x01",
      "\x02",
      "a\x02b",
      "'",
      "\ufeffx",
      "é😀",
      "=1|",
    ];
    const text = fc.oneof(
      fc.constantFrom(...hard),
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.constant(null),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 60 }), async (pairs) => {
        const rows = pairs.map(([id, detail], i): Row => {
          const row = common(i, "S");
          row[8] = id;
          return [...row, "gap", i % 3 === 0 ? null : i, null, detail];
        });
        assert.deepEqual(await roundTrip("status", rows), rows);
      }),
      { numRuns: 40, seed: 7 },
    );
  },
);

Deno.test("any decimal survives, narrow or wide, mixed in one file", strict, async () => {
  const digits = (max: number) => fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: max });
  const decimal = fc.tuple(fc.boolean(), digits(26), digits(12)).map(([minus, whole, fraction]) =>
    canonical(`${minus ? "-" : ""}${whole.replace(/^0+(?=\d)/, "")}.${fraction}`)
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(decimal, decimal), { minLength: 1, maxLength: 60 }), async (pairs) => {
      const rows = pairs.map((pair, i) => quote(i, pair));
      assert.deepEqual(await roundTrip("quotes", rows), rows);
    }),
    { numRuns: 30, seed: 11 },
  );
});

Deno.test("the same rows give the same bytes, whatever was written in between", strict, async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => quote(i, [`${i % 97}.25`, i % 50 === 0 ? "1000000000000" : "1"]));
  const first = sha256(await fileOf("quotes", rows));
  await fileOf("quotes", rows.slice(0, 1000));
  assert.equal(sha256(await fileOf("quotes", rows)), first);
});

Deno.test("bytes do not depend on the row at which a column was first used", strict, async () => {
  const late = quote(9, ["1", "1"]).with(8, "an id").with(10, "x/1");
  const plain = [1, 2, 3].map((origin) => quote(origin, ["1", "1"]));
  const a = new Draft(TABLES.quotes), b = new Draft(TABLES.quotes);
  for (const row of [...plain, late]) a.add(row);
  for (const row of [late, ...plain]) b.add(row);
  assert.equal(sha256(await write(3, a)), sha256(await write(3, b)));
});

Deno.test("a cell that would not come back as it is, is refused and leaves the draft as it was", strict, async () => {
  const draft = new Draft(TABLES.quotes);
  const good = quote(1, ["1", "1"]);
  draft.add(good);
  const bad: readonly [number, string | number | null][] = [
    [12, "1e3"],
    [12, "0.0000000000001"],
    [12, "100000000000000000000000000"],
    [12, "x"],
    [12, 5],
    [4, 1.5],
    [4, null],
    [7, 2 ** 53],
    [8, "\ud800"],
    [8, 5],
    [3, "\ud800"],
    [3, null],
  ];
  for (const [place, cell] of bad) {
    assert.throws(() => draft.add(good.with(place, cell)), RangeError, `${place}: ${cell}`);
  }
  assert.equal(draft.rows, 1);
  assert.deepEqual(await read(TABLES.quotes, await write(3, draft)), [good]);
});

Deno.test("the row of a full book of ten thousand levels a side fits", strict, async () => {
  const side = JSON.stringify(
    Array.from({ length: 10_000 }, (_, i) => [`${60_000 + i}.12345678`, `${i}.123456789012`]),
  );
  const rows: Row[] = [[...common(1), side, side]];
  assert.deepEqual(await roundTrip("books", rows), rows);
});

Deno.test("a file that does not hold as many rows as the draft is an error", strict, async () => {
  const draft = new Draft(TABLES.quotes);
  draft.add(quote(1, ["1", "1"]));
  let asked = 0;
  Object.defineProperty(draft, "rows", { get: () => 1 + Math.min(asked++, 1) });
  await assert.rejects(write(3, draft), /holds 1 rows, must hold 2/);
});

Deno.test("the witness refuses a file of another table", strict, async () => {
  const bytes = await fileOf("quotes", [quote(1, ["1", "1"])]);
  await assert.rejects(read(TABLES.trades, bytes), /must be those of its table/);
});

Deno.test("a query answers with exact decimals, numbers and µs, in order", strict, async () => {
  const bytes = await fileOf("quotes", [quote(1, ["1000000000000", "0.5"]), quote(2, ["0.25", "0.5"], "ETH'USD")]);
  await inFile(bytes, async (path) => {
    const answer = await query(
      [path],
      "SELECT symbol, sum(bid_size) AS size, max(event_time) AS newest, sum(origin) AS o, avg(partition) AS p, null AS n " +
        "FROM ticks GROUP BY symbol ORDER BY symbol",
    );
    assert.deepEqual(answer, [
      { symbol: "BTCUSDT", size: "1000000000000", newest: DAY + 1, o: 1, p: 3, n: null },
      { symbol: "ETH'USD", size: "0.25", newest: DAY + 2, o: 2, p: 3, n: null },
    ]);
  });
});

Deno.test("a query that fails at a row raises, and the next one works", strict, async () => {
  await inFile(await fileOf("quotes", [quote(1, ["1", "1"])]), async (path) => {
    await assert.rejects(query([path], "SELECT CAST(symbol AS INTEGER) AS i FROM ticks"));
    await assert.rejects(query([path], "SELECT nothing FROM ticks"));
    await assert.rejects(query([], "SELECT 1"), RangeError);
    await assert.rejects(query([`${path}.none`], "SELECT 1 FROM ticks"), Deno.errors.NotFound);
    await assert.rejects(Deno.stat(`${path}.none`), Deno.errors.NotFound);
    assert.deepEqual(await query([path, path], "SELECT count(*) AS n FROM ticks"), [{ n: 2 }]);
  });
});

Deno.test("the engine's module is where a sandbox is told it is", strict, async () => {
  assert.ok((await Deno.stat(wasmPath())).isFile);
});

const python = await interpreterWithPyarrow();

Deno.test({
  name: "pyarrow reads a table as one data set: one schema, equal values, wide rows among narrow ones",
  ...strict,
  ignore: python === null,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const batches: Partial<Record<TableName, Row[][]>> = {
        quotes: [
          [quote(1, ["1", "2.5"]), [...common(2), null, null, "0.1", "3"]],
          [quote(3, ["1000000000000", "0.25"], "SHIBUSDT"), quote(4, ["-0.5", "0.000000000001"], "é😀\t")],
        ],
        trades: [[[...common(5), "0.000001", "0", "buy", null]], [[...common(6), "1", "3", "sell", '["I"]']]],
        books: [[[...common(7), '[["1.5","2"]]', "[]"]]],
        deltas: [[[...common(8), "[]", '[["1","0"]]', 12, 9_007_199_254_740_991, null]]],
        status: [[[...common(9), "gap", null, null, "détail"]]],
      };
      const wanted: Record<string, Row[]> = {};
      for (const [table, files] of Object.entries(batches)) {
        await Deno.mkdir(`${folder}/${table}/date=2023-11-14`, { recursive: true });
        for (const [i, rows] of files.entries()) {
          await Deno.writeFile(
            `${folder}/${table}/date=2023-11-14/${i}.parquet`,
            await fileOf(table as TableName, rows),
          );
        }
        wanted[table] = files.flat();
      }
      const { code, stdout, stderr } = await new Deno.Command(python!, { args: ["-c", READER, folder] }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      const found: Record<string, { types: Record<string, string>; rows: Row[] }> = JSON.parse(
        new TextDecoder().decode(stdout),
      );
      for (const [table, { types, rows }] of Object.entries(found)) {
        for (const { name, kind } of TABLES[table as TableName]) {
          const type = { decimal: "decimal128(38, 12)", time: "timestamp[us, tz=UTC]", int: "int64" }[kind as string];
          assert.equal(types[name], name === "partition" ? "int32" : type ?? "string", `${table}.${name}`);
        }
        assert.deepEqual(rows, wanted[table], table);
      }
      assert.equal(Object.keys(found).length, 5);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** Prints types and rows of each table of a folder, decimals as canonical text and times in µs. */
const READER = `
import datetime, decimal, json, os, sys
import pyarrow.dataset as ds
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
def plain(v):
    if isinstance(v, decimal.Decimal):
        text = format(v, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(v, datetime.datetime):
        return (v - epoch) // datetime.timedelta(microseconds=1)
    return v
found = {}
for table in os.listdir(sys.argv[1]):
    data = ds.dataset(os.path.join(sys.argv[1], table), format="parquet", partitioning="hive").to_table()
    data = data.drop_columns(["date"]).sort_by("origin")
    rows = [[plain(v) for v in row.values()] for row in data.to_pylist()]
    found[table] = {"types": {f.name: str(f.type) for f in data.schema}, "rows": rows}
print(json.dumps(found))
`;

/** In a folder whose name an engine could take for a pattern. */
async function inFile(bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/[x]*'? y`);
    const path = `${folder}/[x]*'? y/a.parquet`;
    await Deno.writeFile(path, bytes);
    await use(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
