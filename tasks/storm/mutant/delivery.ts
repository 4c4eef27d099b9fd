/**
 * The guards of the delivery: of the log, its readers and writers, the judge's checkpoint, both sinks and producers.
 *
 * **Knows** `mutant`.
 */
import { guard, line, type Mutant } from "../mutant.ts";

const STORM = ["tasks/storm_test.ts", "tasks/storm_disk_test.ts"];
const ROOM = ["lib/room_test.ts"];
export const DELIVERY: readonly Mutant[] = [
  ...guard("epoch check of a commit", "lib/hot.ts", "if (stands.epoch !== held.epoch) {", ["lib/hot_test.ts"]),
  ...guard("offset equality of a commit", "lib/hot.ts", "if (stands.next !== held.next) {", [
    "lib/hot_test.ts",
    ...STORM,
  ]),
  ...guard("origin fence", "lib/fence.ts", "if (origin <= this.#last) {", STORM),
  ...guard("chain of previous origins", "lib/fence.ts", "if (previous !== this.#last && !isBridge) {", [
    "lib/fence_test.ts",
  ]),
  line("one send in flight a partition", "cmd/validate.ts", "      await seat.sent;\n      await durable;", STORM, {
    put: "      await durable;",
  }),
  line("rules in the log", "lib/judge.ts", "      this.#register.apply(result.data);", ["lib/judge_test.ts"]),
  line("raw synced before it is judged", "cmd/validate.ts", "      await durable;", STORM),
  line(
    "outputs synced before the checkpoint",
    "cmd/validate.ts",
    "      await log.sync(TOPICS.valid, partition);",
    STORM,
  ),
  line("synced before the commit", "cmd/sink-hot.ts", "      await durable;", STORM),
  line(
    "synced before the unit",
    "cmd/sink-cold.ts",
    "      await log.sync(seat.held.topic, seat.held.partition, next);",
    STORM,
  ),
  line(
    "synced before the producer's checkpoint",
    "cmd/simulate.ts",
    "      await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));",
    STORM,
  ),
  ...guard("epoch of a checkpoint", "lib/transport/log.ts", "if (epoch !== checkpoint.epoch) {", [
    "lib/transport_test.ts",
  ]),
  line("read-back of a producer", "lib/producer.ts", "if (producer?.id === id) last =", STORM, {
    put: "if (producer?.id === `not ${id}`) last =",
  }),
  line("epoch of the lake", "lib/lake/file/account.ts", "if (line.epoch !== holding?.epoch) return", [
    "lib/ledger_test.ts",
  ], {
    put: "if (false as boolean) return",
  }),
  line("twelve digits after the point", "lib/decimal.ts", "    } else if (digit !== 0) return false;", [
    "lib/decimal_test.ts",
    "lib/parquet_test.ts",
  ], { put: "    }" }),
  line("sync of an append", "lib/writer.ts", '    if (this.#policy === "batch") await this.sync();\n    else if', [
    "lib/durability_test.ts",
  ], { put: "    if" }),
  line("sync of a lake's file", "lib/lake/file/disk.ts", "      await file.sync();", ["lib/durability_test.ts"]),
  line(
    "sync of a lake's folders",
    "lib/lake/file.ts",
    "      await syncAbove(this.root, files.map((file) => file.path));",
    STORM,
  ),
  line("sync of a log's folder", "lib/writer.ts", "    this.#assured(() => syncFolder(this.#folder));", STORM),
  line("sync of a log's identity", "lib/transport/log.ts", "    syncFolder(folder);", STORM),
  line("sync of the folder above", "lib/folder.ts", "    syncFolder(above);", STORM),
  line("sync of the ledger", "lib/lake/file/ledger.ts", "      await file.sync();", ["lib/durability_test.ts"]),
  line("sync of the checkpoints' folder", "lib/transport/log.ts", "    syncFolder(`${this.#path}/checkpoint`);", [
    "lib/durability_test.ts",
  ]),
  line("what is noted as durable is durable", "lib/writer.ts", "      noteDurable(this.#lock, next);", [
    "lib/durability_test.ts",
  ], { put: "      noteDurable(this.#lock, next + 1);" }),
  line("what a copied log notes as durable", "lib/partition.ts", "  lock.truncateSync(BASE_DIGITS);", [
    "lib/durability_test.ts",
  ]),
  line(
    "checksum of the note of what is durable",
    "lib/partition.ts",
    "const isWhole = read === noted.length && decoder.decode(noted.subarray(BASE_DIGITS)) === checksum(digits);",
    ["lib/durability_test.ts"],
    { put: "const isWhole = read === noted.length;" },
  ),
  line("note that was lost", "lib/partition.ts", "  note(lock, last);", [
    "lib/transport_log_test.ts",
  ]),
  line(
    "a note is not believed",
    "lib/writer.ts",
    "notedBase(this.#lock) === this.#base ? this.#base :",
    ["lib/transport_log_test.ts"],
    { put: "notedBase(this.#lock) ??" },
  ),
  line("hole of a power cut", "lib/partition.ts", "    const hole = bytes.indexOf(0);", ["lib/transport_log_test.ts"], {
    put: "    const hole = -1 as number;",
  }),
  line(
    "an unfinished line is read again",
    "lib/cursor.ts",
    "    if (unfinished > 0) this.#file!.seekSync(-unfinished, Deno.SeekMode.Current);",
    ["lib/transport_log_test.ts"],
  ),
  line("escape of what a terminal would obey", "lib/failure.ts", "return printable(text.replace", ["lib", "tasks"], {
    put: "return (text.replace",
  }),
  line(
    "checksum of a record",
    "lib/segment.ts",
    "  return stored === crc32(bytes.subarray(start + COVERED_FROM, end));",
    [
      "lib/segment_test.ts",
    ],
    { put: "  return Number.isInteger(stored);" },
  ),
  line(
    "a seal bound by an intent",
    "cmd/sink-cold.ts",
    "        await lake.intend(seat.held, seat.sheet.first, seat.sheet.last);",
    ["tasks/flow_test.ts"],
  ),
  line("bound of a capture's line", "lib/capture.ts", "  if (line.length <= LINE_LENGTH_MAX) return;", [
    "lib/capture_test.ts",
  ], { put: "  if (line.length >= 0) return;" }),
  line("bound of what a codec unpacks", "lib/transport/kafka/compression.ts", "maxOutputLength: BATCH_BYTES_MAX }", [
    "lib/transport_kafka_test.ts",
  ], { put: "maxOutputLength: 2 ** 30 }", needs: "KAFKA_URL" }),
  ...guard(
    "checksum of a batch on Kafka",
    "lib/transport/kafka/fetched.ts",
    "if (batch.readUInt32BE(CRC_AT) !== crc32c(batch.subarray(CRC_FROM))) {",
    ["lib/transport_kafka_fetched_test.ts"],
  ),
  line("sandbox of a stage", "lib/crew.ts", "      deno: { permissions: permissionsOf(stage, setting) },", [
    "tasks/permission_test.ts",
  ]),
  line("login kept out of messages", "lib/failure.ts", "  return url.replace(", ["tasks/permission_test.ts"], {
    put: "  return url + url.replace(",
  }),
  ...guard("hash of a file that is written again", "lib/lake/file/mend.ts", "if (sha256(bytes) !== file.sha256) {", [
    "tasks/corruption_test.ts",
  ]),
  line("sync of a file that is written again", "lib/lake/file/mend.ts", "    await made.sync();", [
    "lib/durability_test.ts",
  ]),
  line("whole lines alone stay of a short write", "lib/writer.ts", "          done += this.#cutBack(bytes);", ROOM),
  line(
    "a failed sync is not believed later",
    "lib/writer.ts",
    "if (this.#unsound !== null) throw this.#unsound;",
    ROOM,
  ),
  line("an append that waits is not overtaken", "lib/writer.ts", "this.#turn.then(act, act);", ROOM, { put: "act();" }),
  line("cut of a ledger's failed line", "lib/lake/file/ledger.ts", 'if (this.#state !== "torn") return;', ROOM, {
    put: "if (this.#state.length > 0) return;",
  }),
  line("a unit without room leaves none of its files", "lib/lake/file.ts", "if (ledger.isKnown) {", ROOM, {
    put: "if (false as boolean) {",
  }),
  line("redo of a transaction without room", "lib/hot/sqlite.ts", "if (/disk is full/.test(reason)) {", ROOM, {
    put: "if (false as boolean) {",
  }),
  line("a wait ends when the stage is to stop", "lib/patience.ts", " || trying.signal.aborted) {", [
    "lib/patience_test.ts",
  ], {
    put: ") {",
  }),
  line("jitter of a wait", "lib/patience.ts", "trying.random() *", ["lib/patience_test.ts"], { put: "" }),
  line("what does not pass is not waited for", "lib/patience.ts", "if (!passes || ", ["lib/patience_test.ts"], {
    put: "if (",
  }),
  ...guard("identity of a running stage's topic", "lib/tape.ts", "if (is.identity !== was.identity) {", [
    "lib/tape_test.ts",
  ]),
  ...guard("partition count of a running stage's topic", "lib/tape.ts", "if (is.partitions !== was.partitions) {", [
    "lib/tape_test.ts",
  ]),
  line("tape of validate", "cmd/validate.ts", "    await refuseOther(tape, log);", [
    "tasks/life_test.ts",
  ]),
  line("tape of simulate", "cmd/simulate.ts", '    assertSame("resume simulate", kept?.tape ?? {}, tape);', [
    "tasks/life_test.ts",
  ]),
  line("tape of ingest", "lib/intake.ts", '    assertSame("resume ingest", before?.tape ?? {}, tape);', [
    "tasks/life_test.ts",
  ]),
  ...guard("records lost before they were applied", "lib/fence.ts", "if (next < range.low && !acceptGap) {", [
    "lib/fence_test.ts",
  ]),
  ...guard(
    "records lost before they were judged",
    "cmd/validate.ts",
    'if (judged < range.low && !values["accept-gap"]) {',
    ["tasks/life_test.ts"],
  ),
  ...guard("verdicts beyond a lost state", "cmd/validate.ts", "if (Math.max(last.valid, last.rejected) >= next) {", [
    "tasks/life_test.ts",
  ]),
  line(
    "state saved before a verdict behind a gap",
    "cmd/validate.ts",
    '        await log.save("validate", partition, { epoch, nextOffset: next, state: judge.state() });',
    ["tasks/life_test.ts"],
  ),
  ...guard("segments that retention took", "lib/cursor.ts", "if (base === undefined && bases.length > 0) {", [
    "lib/transport_log_test.ts",
  ]),
  line("identity of a reader's topic", "lib/transport/kafka/reader.ts", "before !== undefined && before !== identity", [
    "lib/transport_kafka_test.ts",
  ], { put: "false as boolean", needs: "KAFKA_URL" }),
  line("one bridge a gap", "lib/fence.ts", "    this.#isBehindGap = false;", ["lib/fence_test.ts"]),
  ...guard("cut of a torn tail", "lib/writer.ts", "if (end < added.length) {", ["lib/transport_log_test.ts"]),
  line(
    "appends of simulate before its checkpoint",
    "cmd/simulate.ts",
    "      await Promise.all(lots.map((lot, partition) => lot.length > 0 ? append(partition, lot, due) : undefined));",
    STORM,
    {
      put:
        "      Promise.all(lots.map((lot, partition) => lot.length > 0 ? append(partition, lot, due) : 0)).catch(() => {});",
    },
  ),
  line(
    "appends of ingest before its checkpoint",
    "lib/intake.ts",
    "    await Promise.all(lots.map((lot, partition) => lot.length > 0 ? this.#raw.append(partition, lot) : undefined));",
    STORM,
    {
      put: "    Promise.all(lots.map((lot, p) => lot.length > 0 ? this.#raw.append(p, lot) : 0)).catch(() => {});",
    },
  ),
  line(
    "synced before ingest's checkpoint",
    "lib/intake.ts",
    "    await Promise.all(this.#raw.numbers.map((_, partition) => log.sync(TOPICS.raw, partition)));",
    STORM,
  ),
  line(
    "checkpoint durable before it is built on",
    "lib/transport/log.ts",
    "    if (checkpoint !== null) syncFolder(`${this.#path}/checkpoint`);",
    ["lib/durability_test.ts"],
  ),
  line(
    "verdicts before the checkpoint",
    "cmd/validate.ts",
    "      await seat.sent;\n      await log.sync(TOPICS.valid, partition);",
    STORM,
    { put: "      await log.sync(TOPICS.valid, partition);" },
  ),
  line(
    "rejected ones synced before the checkpoint",
    "cmd/validate.ts",
    "      await log.sync(TOPICS.rejected, partition);",
    STORM,
  ),
  line(
    "rows before the acknowledgement",
    "cmd/sink-hot.ts",
    "      seat.held = await hot.apply({ held: seat.held, next: batch.next, origin, rows });",
    STORM,
    {
      put:
        "      await batch.ack();\n      seat.held = await hot.apply({ held: seat.held, next: batch.next, origin, rows });",
    },
  ),
  line(
    "a unit's files before its line",
    "lib/lake/file.ts",
    "      await syncAbove(this.root, files.map((file) => file.path));\n      await ledger.append({ ...unit, files });",
    ["lib/durability_test.ts"],
    {
      put:
        "      await ledger.append({ ...unit, files });\n      await syncAbove(this.root, files.map((file) => file.path));",
    },
  ),
  line(
    "escape of a topic in names of files",
    "lib/lake/file/disk.ts",
    "topic.replace(/[^A-Za-z0-9._-]|^[._]/gu, hex)",
    ["lib/lake_test.ts"],
    { put: "topic" },
  ),
  line("folders of the lake's own", "lib/lake/file/disk.ts", "(await Deno.lstat(folder)).isDirectory", [
    "lib/lake_test.ts",
  ], { put: "folder.length > 0" }),
  line(
    "bound of a metric's labels",
    "lib/meter.ts",
    "value !== undefined && allowed.includes(value) ? value : OTHER",
    ["lib/meter_test.ts"],
    { put: "value ?? (allowed.length < 0 ? allowed[0]! : OTHER)" },
  ),
  line(
    "escape of what a summary holds",
    "lib/failure.ts",
    '.replace(OBEYED, (c) => c.split("").map(escaped).join(""));',
    ["tasks/hostile_test.ts"],
    { put: ";" },
  ),
  line(
    "kind of a COPY's integer",
    "lib/hot/postgres/copy.ts",
    "Number.isSafeInteger(cell) && piece.int64(cell as number);",
    ["lib/hot_postgres_test.ts"],
    { put: "piece.int64(cell as number);" },
  ),
  line(
    "kind of a COPY's time",
    "lib/hot/postgres/copy.ts",
    "Number.isSafeInteger(cell) && piece.int64(cell as number - EPOCH_MICROS);",
    ["lib/hot_postgres_test.ts"],
    { put: "piece.int64(cell as number - EPOCH_MICROS);" },
  ),
  line("kind of a COPY's text", "lib/hot/postgres/copy.ts", 'typeof cell === "string" && piece.text(cell);', [
    "lib/hot_postgres_test.ts",
  ], { put: "piece.text(String(cell));" }),
  line(
    "digits of a COPY's decimal",
    "lib/hot/postgres/copy.ts",
    "        if (!(unit >= 0 && unit <= 9)) return false;",
    [
      "lib/hot_postgres_test.ts",
    ],
  ),
  line("width of a COPY's row", "lib/hot/postgres/store.ts", "if (odd === undefined) return;", [
    "lib/hot_test.ts",
  ], { put: "if (rows.length > 0) return;", needs: "POSTGRES_URL" }),
  line("place given up to another copy", "cmd/sink-cold.ts", "receive({ start: begin, stop: end })", [
    "tasks/flow_test.ts",
  ], { put: "receive({ start: begin })" }),
  ...guard("log that a store was fed from", "lib/fence.ts", "if (known !== null && known.identity !== identity) {", [
    "lib/fence_test.ts",
  ]),
  ...guard("end of the log before what was applied", "lib/fence.ts", "if (next > range.high) {", [
    "lib/fence_test.ts",
  ]),
  ...guard("end of the log before what was judged", "cmd/validate.ts", "if (judged > range.high) {", [
    "tasks/life_test.ts",
  ]),
  line("chain of the ledger", "lib/lake/file/ledger.ts", "if (prev !== head) return", ["lib/ledger_test.ts"], {
    put: "if (false as boolean) return",
  }),
  line("checksum of a ledger's line", "lib/lake/file/ledger.ts", " && crc === checksum(body) ? body", [
    "lib/ledger_test.ts",
  ], { put: " && crc !== undefined ? body" }),
  ...guard(
    "range that an intent binds",
    "lib/lake/file/account.ts",
    "if (intent !== null && (intent.first !== first || intent.last !== last)) {",
    ["lib/ledger_test.ts"],
  ),
  line("owner of a checkpoint on Kafka", "lib/transport/kafka/checkpoints.ts", "      if (known.epoch > epoch) throw", [
    "lib/transport_kafka_test.ts",
  ], { put: "      if (false as boolean) throw" }),
  line(
    "later epoch of a checkpoint on Kafka",
    "lib/transport/kafka/checkpoints.ts",
    "best === null || epoch > best.epoch || (",
    [
      "lib/transport_kafka_test.ts",
    ],
    { put: "best === null || (" },
  ),
  line("earlier epoch of a checkpoint on Kafka", "lib/transport/kafka/checkpoints.ts", "(epoch === best.epoch && ", [
    "lib/transport_kafka_test.ts",
  ], { put: "(" }),
  line(
    "one append in flight a partition on Kafka",
    "lib/transport/kafka.ts",
    "(this.#appends.get(name) ?? Promise.resolve()).then(act, act);",
    ["lib/transport_test.ts"],
    { put: "act();", needs: "KAFKA_URL" },
  ),
  line(
    "outcome of a COMMIT that was lost",
    "lib/hot/postgres/store.ts",
    "if (again && stands?.epoch === held.epoch && stands.next === next && stands.origin === origin) {",
    [
      "lib/hot_postgres_test.ts",
    ],
    { put: "if (false as boolean && stands !== null) {", needs: "POSTGRES_URL" },
  ),
  line("COMMIT that rolled back", "lib/hot/postgres/store.ts", 'if (done.command !== "COMMIT") {', [
    "lib/hot_postgres_test.ts",
  ], { put: "if (false as boolean) {", needs: "POSTGRES_URL" }),
  line("sync of SQLite's commits", "lib/hot/sqlite.ts", "pragma synchronous = full", ["lib/hot_sqlite_test.ts"], {
    put: "pragma synchronous = normal",
  }),
  ...guard("rules of a saved state", "lib/judge.ts", "if (saved.version !== RULES_VERSION && !drained) {", [
    "lib/judge_test.ts",
  ]),
  line(
    "verdicts of other rules beyond the checkpoint",
    "cmd/validate.ts",
    "  return valid.highest <= saved.lastValid && rejected.highest <= saved.lastRejected;",
    ["tasks/life_test.ts"],
    { put: "  return valid.highest <= Infinity || rejected.highest <= saved.lastRejected;" },
  ),
  line(
    "rows whose offset is lost, in memory",
    "lib/hot/memory.ts",
    "    if (table !== undefined) return Promise.reject(unaccounted(held, table));",
    ["lib/hot_test.ts"],
  ),
  line(
    "rows whose offset is lost, in SQLite",
    "lib/hot/sqlite.ts",
    "        if (row !== undefined) throw unaccounted(held, table);",
    ["tasks/corruption_test.ts"],
  ),
  line(
    "rows whose offset is lost, in Postgres",
    "lib/hot/postgres/store.ts",
    "        where not exists (${sql.unsafe(kept)})",
    ["lib/hot_test.ts"],
    { put: "        where true", needs: "POSTGRES_URL" },
  ),
  line(
    "a refused start fences nobody",
    "lib/fence.ts",
    "  check((await store.holdings()).find((holding) => isOf(holding, place)) ?? null);",
    ["lib/fence_test.ts"],
  ),
  line("a taken place is looked at again", "lib/fence.ts", "  check(known);", ["lib/fence_test.ts"]),
  line("rows above the cut", "lib/books.ts", "    if (left.length === 0) return [];", ["tasks/corruption_test.ts"], {
    put: "    if (left.length >= 0) return [];",
  }),
  line(
    "a zombie's next batch",
    "cmd/sink-hot.ts",
    "      if (seat.fenced !== null) throw seat.fenced;",
    ["tasks/sink_hot_test.ts"],
  ),
  line(
    "a tear of the ledger ends with a sector",
    "lib/lake/file/ledger.ts",
    "    if (at < bytes.length && at % SECTOR !== 0) return false;",
    ["lib/ledger_test.ts"],
  ),
  line(
    "a whole line of the ledger is no tear",
    "lib/lake/file/ledger.ts",
    "  return body === null || end === bytes.length || bytes[end] === 0;",
    ["lib/ledger_test.ts"],
    { put: "  return body === null || end >= 0;" },
  ),
  ...guard("newer ledger", "lib/lake/file/ledger.ts", "if (newer.success) {", ["lib/ledger_test.ts"]),
  line(
    "quarantine of what is not committed",
    "lib/lake/file/quarantine.ts",
    '  await keep(root, path, found, "no ledger named it; goes once the same bytes are committed", now);',
    ["lib/lake_test.ts"],
  ),
  ...guard("cut that was passed", "cmd/sink-cold.ts", "if (seat.cut !== null && tick.origin > seat.cut) {", [
    "tasks/cold_test.ts",
  ]),
  line(
    "cut that the log never reaches",
    "cmd/sink-cold.ts",
    "      if (cut !== null && !await reaches(log, held, range.high, cut)) throw",
    ["tasks/cold_test.ts"],
    { put: "      if (false as boolean) throw" },
  ),
  line("checkpoint before the first verdict", "cmd/validate.ts", "      const sent = checkpoint === null\n", [
    "tasks/validate_test.ts",
  ], { put: "      const sent = (false as boolean)\n" }),
  ...guard(
    "verdicts without a checkpoint",
    "cmd/validate.ts",
    "if (state === undefined && Math.max(written.valid.end, written.rejected.end) > 0) {",
    ["tasks/validate_test.ts"],
  ),
  line("a zombie's verdicts at the tail", "cmd/validate.ts", "    const from = Math.max(low, end);", [
    "tasks/validate_test.ts",
  ], { put: "    const from = Math.max(low, high - 1);" }),
  line("append that landed", "lib/transport/kafka/landing.ts", "const landed = isRetry ?", [
    "lib/transport_kafka_test.ts",
  ], { put: "const landed = (false as boolean) ?", needs: "KAFKA_URL" }),
  line(
    "one market a producer",
    "cmd/simulate.ts",
    "if (!resumed.repeats || was === undefined || was === value) continue;",
    ["tasks/producer_test.ts"],
    { put: "if (was !== null) continue;" },
  ),
  line("bound of a tick's times", "lib/tick.ts", "(v as number) >= TIME_MIN && ", ["lib/tick_test.ts"], { put: "" }),
  line("our own time is that of receipt", "lib/tick.ts", " || t.eventTime !== t.receivedTime", ["lib/tick_test.ts"], {
    put: "",
  }),
];
