import assert from "@std/assert";
import { METERS } from "../lib/meter.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const ROOT = new URL("../", import.meta.url);
const textOf = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

/** Every dashboard's panels, by file. */
function dashboards(): { readonly file: string; readonly panels: readonly Panel[] }[] {
  return [...Deno.readDirSync(new URL("grafana/dashboards", ROOT))].map(({ name }) => ({
    file: name,
    panels: JSON.parse(textOf(`grafana/dashboards/${name}`)).panels,
  }));
}

const meters = new Map<string, readonly string[]>(
  Object.entries(METERS).flatMap(([name, { type, labels }]): [string, string[]][] => {
    const names = Object.keys(labels);
    if (type !== "histogram") return [[name, names]];
    return [[`${name}_bucket`, [...names, "le"]], [`${name}_sum`, names], [`${name}_count`, names]];
  }),
);

/** Metrics and labels that a PromQL expression names; enough of its grammar for our dashboards. */
function namedBy(expr: string): { readonly metrics: readonly string[]; readonly labels: readonly string[] } {
  const labels: string[] = [];
  const bare = expr
    .replace(/"[^"]*"/g, '""')
    .replace(/\[[^\]]*\]/g, "")
    .replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_, list: string) => {
      labels.push(...list.split(",").map((label) => label.trim()));
      return "";
    })
    .replace(/\{([^}]*)\}/g, (_, list: string) => {
      labels.push(...[...list.matchAll(/(\w+)\s*[=!]~?/g)].map((match) => match[1]!));
      return "";
    });
  const metrics = [...bare.matchAll(/\b[a-zA-Z_]\w*\b(?!\s*\()/g)].map((match) => match[0]);
  return { metrics, labels };
}

Deno.test("every metric and label that a dashboard names is declared in lib/meter.ts", options, () => {
  let exprs = 0;
  for (const { file, panels } of dashboards()) {
    for (const { title, targets = [] } of panels) {
      for (const { expr } of targets) {
        exprs++;
        const { metrics, labels } = namedBy(expr);
        assert.ok(metrics.length > 0, `${file}: ${title}: ${expr}`);
        for (const metric of metrics) assert.ok(meters.has(metric), `${file}: ${title}: ${metric}`);
        const allowed = [...metrics.flatMap((metric) => meters.get(metric)!), "instance", "job"];
        for (const label of labels) assert.ok(allowed.includes(label), `${file}: ${title}: ${label}`);
      }
    }
  }
  assert.ok(exprs > 10);
});

Deno.test("what a dashboard names is told apart from functions, durations and label values", options, () => {
  const expr = 'histogram_quantile(0.99, sum by (le, stage) (rate(a_bucket{stage="b_total", x!~"c"}[5m]))) / d_total';
  assert.deepEqual(namedBy(expr), { metrics: ["a_bucket", "d_total"], labels: ["le", "stage", "stage", "x"] });
});

Deno.test("every metric is shown by a dashboard", options, () => {
  const shown = new Set(
    dashboards().flatMap(({ panels }) => panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)))
      .flatMap((expr) => namedBy(expr).metrics)
      .map((metric) => metric.replace(/_(bucket|sum|count)$/, "")),
  );
  assert.deepEqual(Object.keys(METERS).filter((name) => !shown.has(name)), []);
});

Deno.test("the rows of the dashboard follow the flow and its panels know the provisioned source", options, () => {
  const [{ panels } = { panels: [] }] = dashboards();
  const rows = panels.filter(({ type }) => type === "row").map(({ title }) => title.split(/\W/, 1)[0]);
  assert.deepEqual(rows, ["simulate", "validate", "sink", "audit", "doors", "the"]);
  const [, uid] = /uid: (\S+)/.exec(textOf("grafana/provisioning/datasources/prometheus.yml"))!;
  for (const panel of panels.filter(({ type }) => type !== "row")) {
    assert.equal(panel.datasource?.uid, uid);
    assert.ok(panel.targets?.every(({ datasource }) => datasource.uid === uid));
  }
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
});

Deno.test("compose publishes ports on loopback alone and pins every image", options, () => {
  const compose = textOf("compose.yaml");
  const ports = [...compose.matchAll(/ports: \["([^"]*)"\]/g)].map((match) => match[1]!);
  assert.equal(ports.length, compose.match(/ports:/g)?.length);
  assert.ok(ports.every((port) => /^127\.0\.0\.1:\d+:\d+$/.test(port)), ports.join());
  const images = [...compose.matchAll(/image: (\S+)/g)].map((match) => match[1]!);
  assert.equal(images.length, 4);
  assert.ok(images.every((image) => /:v?\d+\.\d+(\.\d+)?$/.test(image)), images.join());
});

Deno.test("prometheus scrapes the ports of the stages", options, () => {
  const targets = [...textOf("grafana/prometheus.yml").matchAll(/host\.docker\.internal:(\d+)/g)].map(([, p]) => p);
  assert.deepEqual(targets, ["9464", "9465", "9466", "9467", "9468", "9469", "9470"]);
});
