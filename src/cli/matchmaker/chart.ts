/** A page with the outcomes of a simulation: bars as inline SVG and the numbers; nothing is loaded from elsewhere. */
import type { Outcome } from '../../matchmaking/simulate.ts';

export interface RunOutcome {
  readonly rules: string;
  readonly matcher: string;
  readonly outcome: Outcome;
}

interface Chart {
  readonly title: string;
  readonly of: (outcome: Outcome) => number | null;
  /** The further value, drawn as a thin line to its right. */
  readonly to?: (outcome: Outcome) => number | null;
  readonly text: (value: number) => string;
}

const CHARTS: readonly Chart[] = [
  {
    title: 'Wait, s: half of the players, and 95 %',
    of: ({ waitSecondsP50 }) => waitSecondsP50,
    to: ({ waitSecondsP95 }) => waitSecondsP95,
    text: (value) => value.toFixed(1),
  },
  {
    title: 'Rating gap in a match, mu: half of the matches, and 95 %',
    of: ({ ratingGapP50 }) => ratingGapP50,
    to: ({ ratingGapP95 }) => ratingGapP95,
    text: (value) => value.toFixed(1),
  },
  {
    title: 'Error of the chance to win: distance from one half, %',
    of: ({ winProbabilityError }) => 100 * winProbabilityError,
    text: (value) => value.toFixed(2),
  },
  {
    title: 'Latency, ms: half of the players, and 95 %',
    of: ({ latencyMsP50 }) => latencyMsP50,
    to: ({ latencyMsP95 }) => latencyMsP95,
    text: (value) => value.toFixed(0),
  },
  {
    title: 'Bots, per match',
    of: ({ bots, matches }) => (matches === 0 ? 0 : bots / matches),
    text: (v) => v.toFixed(2),
  },
  { title: 'Players without a match at the end', of: ({ unmatched }) => unmatched, text: (v) => v.toFixed(0) },
];

const WIDTH = 720;
const LABEL = 270;
const VALUES = 110;
const ROW = 26;

export function chartPage(source: string, outcomes: readonly RunOutcome[]): string {
  const charts = CHARTS.map((chart) => svgOf(chart, outcomes)).join('\n');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Matchmaking, simulated</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1d2430, #e6e9ef); --paper: light-dark(#fff, #14181f);
  --soft: light-dark(#5c6675, #9aa4b2); --own: light-dark(#1f6feb, #5aa2ff); --other: light-dark(#9aa4b2, #66707f);
  --line: light-dark(#d9dee6, #2b323d); }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 760px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 1.8rem 0 .2rem; }
p { color: var(--soft); margin: .2rem 0 1rem; }
svg { width: 100%; height: auto; display: block; } text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.own { fill: var(--own); } .other { fill: var(--other); } .reach { stroke: var(--soft); stroke-width: 2; }
.soft { fill: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
</style>
<h1>Matchmaking, simulated</h1>
<p>${escaped(source)}. The bar is the first number, the line reaches to the second.</p>
${charts}
<h2>Numbers</h2>
<div class="scroll">${tableOf(outcomes)}</div>
</html>
`;
}

function svgOf({ title, of, to, text }: Chart, outcomes: readonly RunOutcome[]): string {
  const most = Math.max(...outcomes.map(({ outcome }) => Math.max(of(outcome) ?? 0, to?.(outcome) ?? 0)), 1e-9);
  const long = (value: number): string => ((value / most) * (WIDTH - LABEL - VALUES)).toFixed(1);
  const rows = outcomes.map(({ rules, matcher, outcome }, i) => {
    const y = i * ROW;
    const value = of(outcome);
    const further = to?.(outcome) ?? null;
    const label = `<text x="0" y="${y + 17}">${escaped(shortened(rules))} <tspan class="soft">${escaped(matcher)}</tspan></text>`;
    if (value === null) return `${label}<text x="${LABEL}" y="${y + 17}" class="soft">not measured</text>`;
    const kind = matcher === 'hypogeum' ? 'own' : 'other';
    const bar = `<rect class="${kind}" x="${LABEL}" y="${y + 4}" width="${long(value)}" height="17" rx="2"/>`;
    const x = (width: string): string => (LABEL + Number(width)).toFixed(1);
    const line =
      further === null
        ? ''
        : `<line class="reach" x1="${x(long(value))}" x2="${x(long(further))}" y1="${y + 12.5}" y2="${y + 12.5}"/>`;
    const end = x(long(Math.max(value, further ?? 0)));
    const numbers = [text(value), ...(further === null ? [] : [text(further)])].join(' · ');
    return `${label}${bar}${line}<text x="${Number(end) + 8}" y="${y + 17}">${numbers}</text>`;
  });
  const height = outcomes.length * ROW;
  return `<h2>${escaped(title)}</h2>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">
${rows.join('\n')}
</svg>`;
}

function tableOf(outcomes: readonly RunOutcome[]): string {
  const head = [
    'rules',
    'matcher',
    'players',
    'matches',
    ...CHARTS.map(({ title }) => title.split(/[,:]/)[0]!),
    'overdue',
  ];
  const rows = outcomes.map(({ rules, matcher, outcome }) => [
    rules,
    matcher,
    String(outcome.players),
    String(outcome.matches),
    ...CHARTS.map(({ of, to, text }) =>
      [of(outcome), to?.(outcome)].flatMap((value) => (value == null ? [] : [text(value)])).join(' · '),
    ),
    `${(100 * outcome.overdueShare).toFixed(1)} %`,
  ]);
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>${line(head, 'th')}${rows.map((row) => line(row, 'td')).join('')}</table>`;
}

/** Names of files can be long: their end tells them apart. */
function shortened(name: string): string {
  return name.length > 16 ? `…${name.slice(-15)}` : name;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
