/**
 * Python as a witness of a whole flow: what pyarrow reads from the lake is what sqlite3 reads from the hot store, row for
 * row, decimals and times exact. Runs where `TAPEDECK_PYTHON`, else `python3`, has pyarrow.
 */
import assert from "@std/assert";
import simulate from "../cmd/simulate.ts";
import { flow, run, withData } from "../testdata/flow.ts";
import { interpreterWithPyarrow } from "../testdata/pyarrow.ts";

const WITNESS = `
import sqlite3, sys, datetime as d, pyarrow as pa, pyarrow.dataset as ds
from decimal import Decimal
data, total = sys.argv[1], 0
epoch, us = d.datetime(1970, 1, 1, tzinfo=d.timezone.utc), d.timedelta(microseconds=1)
hot = sqlite3.connect(data + "/hot.db")
for table, amounts in (("trades", ["price", "size"]), ("quotes", ["bid_price", "bid_size", "ask_price", "ask_size"])):
    lake = ds.dataset(f"{data}/lake/{table}", format="parquet", partitioning="hive")
    for name in amounts: assert lake.schema.field(name).type == pa.decimal128(38, 12), lake.schema
    for name in ("event_time", "received_time"): assert lake.schema.field(name).type == pa.timestamp("us", "UTC"), lake.schema
    columns = ["partition", "origin", "symbol", "event_time", "received_time", "sequence", "flags", *amounts]
    cold = sorted(tuple(row.values()) for row in lake.to_table(columns=columns).to_pylist())
    rows = hot.execute(f"select {', '.join(columns)} from {table} order by 1, 2").fetchall()
    assert len(cold) == len(rows) > 0, (table, len(cold), len(rows))
    for a, b in zip(cold, rows):
        b = (*b[:3], epoch + b[3] * us, epoch + b[4] * us, *b[5:7], *(None if v is None else Decimal(v) for v in b[7:]))
        assert a == b, (table, a, b)
    total += len(cold)
print(total)
`;

const python = await interpreterWithPyarrow();

Deno.test({
  name: "pyarrow finds in the lake the rows that sqlite3 finds in the hot store, SHIBUSDT's large sizes among them",
  ignore: python === null,
  fn: async () => {
    await withData(async (data) => {
      await run(simulate, data, "--ticks", "20000", "--faults", "0.05");
      await flow(data);
      const { code, stdout, stderr } = await new Deno.Command(python!, { args: ["-c", WITNESS, data] }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      assert.ok(Number(new TextDecoder().decode(stdout)) > 19_000);
    });
  },
});
