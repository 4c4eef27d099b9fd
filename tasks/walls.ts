/**
 * The walls of the house, as a lint plugin: which room may know which, who alone holds a power over the world outside,
 * and who alone may use a package. `deno lint` checks them; tests and `tasks` stand outside.
 *
 * A room is `lib/<name>.ts` with `lib/<name>/*`, or all of `cmd`, whose files never know each other. A new room needs a
 * row in `KNOWS`; a row that grows long says that the room has become two.
 */

/** Whom each room of `lib` may import, besides itself. */
export const KNOWS: Readonly<Record<string, readonly string[]>> = {
  // Ground: these know nobody.
  failure: [],
  columns: [],
  circuit: [],
  folder: [],
  world: [],
  decimal: [],
  chance: [],
  meter: [],
  patience: ["failure", "world"],
  // What travels, and where from.
  tick: ["decimal"],
  table: ["tick", "decimal"],
  fields: ["tick", "decimal"],
  checksum: [],
  venue: ["fields", "checksum", "tick", "decimal", "failure"],
  conflation: ["venue", "tick", "decimal"],
  book: ["venue", "tick", "decimal"],
  bookcount: ["book", "meter"],
  depth: ["chance", "decimal", "listing"],
  mischief: ["chance"],
  history: ["depth", "mischief"],
  wire: [],
  speech: ["depth", "history", "listing", "mischief"],
  pit: ["chance", "depth", "history", "listing", "market", "speech"],
  line: ["speech", "wire"],
  pretend: ["chance", "decimal", "depth", "failure", "history", "line", "mischief", "pit", "speech", "wire"],
  serving: ["capture", "failure", "history", "pretend", "world"],
  envelope: ["tick"],
  capture: ["envelope", "failure"],
  frames: ["tick", "transport", "failure"],
  manifest: ["frames", "folder", "partition", "segment", "failure"],
  source: ["pairing", "frames", "manifest", "transport", "venue", "failure", "world"],
  pairing: ["capture", "failure"],
  orders: [],
  listing: ["decimal", "failure"],
  feed: ["venue", "tick", "patience", "failure", "world"],
  collect: ["venue", "book", "feed", "frames", "conflation", "tick"],
  instruments: [
    ...["decimal", "failure", "feed", "frames", "producer", "rule", "tape", "tick", "transport", "venue", "world"],
  ],
  live: ["feed", "frames", "source", "venue", "failure", "world"],
  following: ["live", "venue", "tick", "failure", "world"],
  intake: ["producer", "source", "frames", "tape", "transport", "failure", "world"],
  plant: ["chance", "listing"],
  standing: ["chance", "listing", "plant", "failure"],
  market: ["chance", "listing", "plant", "standing", "failure"],
  // The log.
  transport: [
    ...[
      "folder",
      "member",
      "partition",
      "cursor",
      "writer",
      "waker",
      "codec",
      "frames",
      "manifest",
      "patience",
      "failure",
    ],
    "world",
  ],
  cursor: ["partition", "segment", "transport", "failure"],
  writer: ["folder", "partition", "segment", "codec", "transport", "patience", "failure", "world"],
  partition: ["segment", "transport", "failure"],
  segment: ["codec", "transport", "failure"],
  codec: ["transport", "failure"],
  tape: ["transport", "failure"],
  member: [],
  waker: [],
  producer: ["transport"],
  // What makes one tick sound.
  calendar: ["failure"],
  rule: ["calendar", "sequence", "tick", "decimal"],
  sequence: ["tick"],
  reading: ["codec", "transport", "tick"],
  register: ["rule", "sequence", "tick"],
  enactment: ["rule", "producer", "tape", "transport", "failure"],
  retrial: ["judge", "reading", "transport"],
  judge: ["codec", "reading", "register", "rule", "sequence", "tape", "transport", "tick", "failure"],
  // The stores.
  fence: ["reading", "transport", "tick", "decimal", "failure"],
  hot: ["schema", "fence", "table", "transport", "patience", "failure", "world"],
  schema: ["table", "failure"],
  lake: ["folder", "parquet", "fence", "table", "patience", "failure", "world"],
  parquet: ["table", "decimal"],
  // What makes the whole sound.
  repair: ["fence", "lake", "table", "transport", "failure"],
  reconcile: ["lake", "table"],
  books: ["reconcile", "fence", "judge", "hot", "lake", "table", "transport", "tick", "failure"],
  check: ["calendar", "columns", "decimal", "hot", "lake", "parquet", "sequence", "table", "tick", "failure"],
  chronicle: ["check", "folder", "parquet", "table", "failure"],
  drift: ["check", "chronicle"],
  profile: ["check"],
  coverage: ["calendar", "lake", "parquet", "table"],
  report: ["check", "coverage"],
  page: ["failure"],
  inquiry: ["check", "lake", "parquet", "failure", "world"],
  hindsight: ["book", "table", "tick", "venue"],
  truth: ["books", "tick", "failure"],
  examine: ["fence", "hot", "lake", "transport", "failure", "world"],
  health: ["columns", "examine", "transport", "failure"],
  // The way back.
  letter: ["fence", "hot", "reading", "schema", "table", "tick", "transport", "failure"],
  redrive: ["fence", "letter", "reading", "rule", "sequence", "table", "tape", "tick", "transport", "failure"],
  // What runs it.
  flag: ["failure"],
  stage: ["flag", "tape", "meter", "hot", "lake", "transport", "patience", "failure", "world"],
  permission: ["stage"],
  crew: ["folder", "stage", "permission", "flag", "meter", "patience", "transport", "failure"],
};

/** Rooms that hold a power over the world outside; nobody else may say these words. */
export const POWERS: Readonly<Record<string, readonly string[]>> = {
  "Deno.args": ["stage", "crew"],
  "Deno.env": ["stage", "crew"],
  "Deno.exit": ["stage", "crew"],
  "Deno.exitCode": ["stage", "crew"],
  "Deno.addSignalListener": ["stage", "crew"],
  "Deno.removeSignalListener": ["stage", "crew"],
  "process.argv": [],
  "process.env": ["stage"],
  "process.exit": [],
  "process.on": [],
  "Date.now": ["stage", "crew"],
  "new Date()": ["stage", "crew"],
  "performance.now": ["stage", "crew"],
  "Math.random": ["stage", "crew"],
  // Names that must be unique for ever: a log's identity. Never anything that a verdict or a test depends on.
  "crypto.randomUUID": ["stage", "transport"],
  "crypto.getRandomValues": ["stage", "transport"],
};

/** Files, by the beginning of their path, that alone may import a package. */
export const PACKAGES: Readonly<Record<string, string | readonly string[]>> = {
  "kafkajs": "lib/transport/kafka",
  "@platformatic/kafka": "lib/transport/kafka",
  "postgres": "lib/hot/postgres.ts",
  "node:sqlite": "lib/hot/sqlite.ts",
  "@duckdb/duckdb-wasm": "lib/parquet",
  "apache-arrow": "lib/parquet",
  "hyparquet": "lib/parquet",
  "prom-client": "lib/meter.ts",
  "@bufbuild/protobuf": ["lib/venue/upstox.ts", "lib/pretend/upstox.ts"],
};

const ROOT = new URL("../", import.meta.url);
const ROOMS = /^(?:lib\/([^/]+?)(?:\.ts$|\/)|(cmd)\/)/;
const LISTED = "KNOWS in tasks/walls.ts";

/** The path of a file from the project's root; a path that is relative is one already. */
function pathOf(filename: string): string {
  const { href } = new URL(filename, ROOT);
  return href.startsWith(ROOT.href) ? decodeURIComponent(href.slice(ROOT.href.length)) : href;
}

/** The room that a path lies in; nothing for tests, tasks and whatever else stands outside. */
function roomOf(path: string): string | undefined {
  if (path.endsWith("_test.ts")) return undefined;
  const room = ROOMS.exec(path);
  return room?.[1] ?? room?.[2];
}

/** Why `path` may not import `specifier`; nothing when it may. */
function objection(path: string, room: string, specifier: string): string | undefined {
  const says = (state: string, wanted: string) => `Cannot import "${specifier}": ${state}, must be ${wanted}`;
  if (!/^(\.{0,2}\/|file:)/.test(specifier)) {
    const name = specifier.replace(/^npm:\/?/, "").replace(/^(@[^/]+\/[^/@]+|[^@/][^/@]*).*$/, "$1");
    const owners = [PACKAGES[name] ?? []].flat();
    if (owners.length === 0 || owners.some((owner) => path.startsWith(owner))) return undefined;
    return says(`the package "${name}" belongs to ${owners.join(" and ")}`, "used through that file's door");
  }
  const target = pathOf(new URL(specifier, new URL(path, ROOT)).href);
  if (target.endsWith("_test.ts")) return says("it is a test", "imported by tests and tasks alone");
  const other = ROOMS.exec(target);
  if (other === null) return says("it lies outside of lib and cmd", "in a room");
  // A command knows its own parts, which lie in the folder of its name.
  if (other[2] !== undefined && target.startsWith(path.replace(/\.ts$/, "/"))) return undefined;
  if (other[2] !== undefined) return says("it is a command", "imported by tasks alone");
  const known = other[1]!;
  if (room === "cmd" || room === known || KNOWS[room]?.includes(known)) return undefined;
  return says(`room "${room}" may not know room "${known}"`, `in its row of ${LISTED}`);
}

/** A rule that looks only into rooms, and gives each file's path and room. */
function rule(visit: (path: string, room: string, context: Deno.lint.RuleContext) => Deno.lint.LintVisitor) {
  return {
    create(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
      const path = pathOf(context.filename);
      const room = roomOf(path);
      return room === undefined ? {} : visit(path, room, context);
    },
  };
}

/** The name that a member expression ends in, `exit` of `Deno.exit` and of `Deno["exit"]`. */
function memberOf({ computed, property }: Deno.lint.MemberExpression): string | undefined {
  if (!computed && property.type === "Identifier") return property.name;
  return property.type === "Literal" ? String(property.value) : undefined;
}

const HOLDERS = new Set(Object.keys(POWERS).map((power) => /^(?:new )?(\w+)/.exec(power)![1]!));

const plugin: Deno.lint.Plugin = {
  name: "walls",
  rules: {
    rooms: rule((path, room, context) => {
      const check = (node: Deno.lint.Node, specifier: string) => {
        const message = objection(path, room, specifier);
        if (message !== undefined) context.report({ node, message });
      };
      return {
        Program(node) {
          if (room === "cmd" || Object.hasOwn(KNOWS, room)) return;
          const message = `Cannot place room "${room}": no row names it, must be in ${LISTED}`;
          context.report({ node, message });
        },
        ImportDeclaration: (node) => check(node, node.source.value),
        ExportAllDeclaration: (node) => check(node, node.source.value),
        ExportNamedDeclaration: (node) => node.source && check(node, node.source.value),
        ImportExpression(node) {
          const { source } = node;
          if (source.type === "Literal") check(node, String(source.value));
          // What stands before the first hole names the folder, and so the room.
          if (source.type === "TemplateLiteral") check(node, `${source.quasis[0]?.cooked}_`);
        },
      };
    }),
    powers: rule((_path, room, context) => {
      const check = (node: Deno.lint.Node, power: string) => {
        const holders = POWERS[power];
        if (holders === undefined || holders.includes(room)) return;
        const wanted = holders.length === 0
          ? "given as an argument"
          : `held by ${holders.join(" or ")}, or an argument`;
        context.report({
          node,
          message: `Cannot use "${power}": room "${room}" has not this power, must be ${wanted}`,
        });
      };
      return {
        MemberExpression(node) {
          const { object } = node;
          // `globalThis.Deno.exit` as well as `Deno.exit`.
          const holder = object.type === "Identifier"
            ? object.name
            : object.type === "MemberExpression"
            ? memberOf(object)
            : undefined;
          if (holder !== undefined && HOLDERS.has(holder)) check(node, `${holder}.${memberOf(node)}`);
        },
        NewExpression(node) {
          const { callee } = node;
          if (callee.type === "Identifier" && callee.name === "Date" && node.arguments.length === 0) {
            check(node, "new Date()");
          }
        },
        CallExpression(node) {
          // `Date()` is the same clock, as text.
          if (node.callee.type === "Identifier" && node.callee.name === "Date") check(node, "new Date()");
        },
        ImportDeclaration(node) {
          // `import { exit } from "node:process"` names the power without its holder.
          const holder = /^(?:node:)?(process|crypto)$/.exec(node.source.value)?.[1];
          if (holder === undefined) return;
          for (const specifier of node.specifiers) {
            if (specifier.type !== "ImportSpecifier") continue;
            const { imported } = specifier;
            check(node, `${holder}.${imported.type === "Identifier" ? imported.name : imported.value}`);
          }
        },
        VariableDeclarator(node) {
          // `const { exit } = Deno` would carry the power through the wall under another name.
          if (node.init?.type !== "Identifier" || !HOLDERS.has(node.init.name)) return;
          const holder = node.init.name;
          for (const power of Object.keys(POWERS)) if (power.startsWith(`${holder}.`)) return check(node, power);
        },
      };
    }),
  },
};

export default plugin;
