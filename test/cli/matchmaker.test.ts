import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { RunOutcome } from '../../src/cli/matchmaker/chart.ts';
import { runMatchmakerCli } from '../../src/cli/matchmaker.ts';
import { ticket } from '../fixtures/tickets.ts';

const DUEL = { mode: 'duel', teams: 2, teamSize: 1, playersMin: 2, deadlineSeconds: 60 };

describe('npm run matchmaker', () => {
  let folder: string;
  const path = (name: string) => join(folder, name);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-matchmaker-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runMatchmakerCli(argv, { stdout, stderr });
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }

  /** The numbers that do not depend on the machine. */
  const facts = (out: string): unknown[] =>
    (JSON.parse(out) as { outcomes: RunOutcome[] }).outcomes.map(({ rules, matcher, outcome }) => {
      const { cycleMsP50, cycleMsP99, ...rest } = outcome;
      return { rules, matcher, ...rest };
    });

  it('replays a file of tickets under given rules: waits and gaps are those that follow by hand', async () => {
    // Two who are near meet in the cycle in which the second has come; the third is 20 away and waits for nobody.
    const arrivals = [ticket('a', 25), ticket('b', 26, { createdAtMs: 1_002_500 }), ticket('c', 45)];
    await writeFile(path('tickets.jsonl'), arrivals.map((one) => `${JSON.stringify(one)}\n`).join(''));
    await writeFile(path('duel.json'), JSON.stringify(DUEL));
    const { code, out, err } = await run('simulate', path('tickets.jsonl'), '--rules', path('duel.json'), '--json');
    assert.deepEqual([code, err], [0, '']);
    const [own, peer] = (JSON.parse(out) as { outcomes: RunOutcome[] }).outcomes.map(({ outcome }) => outcome);
    assert.deepEqual(
      [own!.matches, own!.waitSecondsP50, own!.waitSecondsP95, own!.ratingGapP50, own!.unmatched],
      [1, 0.5, 3, 1, 1],
    );
    // First come: who came first meets who came second, at once, whatever the distance.
    assert.deepEqual([peer!.matches, peer!.waitSecondsP95, peer!.ratingGapP50], [1, 0, 20]);
  });

  it('draws the same stream from the same seed, and writes a page that loads nothing', async () => {
    const argv = ['simulate', '--synthetic', '--seconds', '60', '--per-second', '3', '--seed', '7', '--json'];
    const first = await run(...argv, '--html', path('page.html'));
    assert.equal(first.code, 0, first.err);
    assert.deepEqual(facts((await run(...argv)).out), facts(first.out));
    const page = await readFile(path('page.html'), 'utf8');
    assert.match(page, /<svg/);
    assert.doesNotMatch(page, /https?:|<script|src=|url\(/);
    const text = await run(...argv.slice(0, -1));
    assert.match(text.out, /^rules +matcher +matches +wait p50 s/m);
    assert.match(text.out, /^arena-4v4 +first come, first served/m);
  });

  it('keeps what a file says out of the markup of the page', async () => {
    await writeFile(path('<b>&.json'), JSON.stringify(DUEL));
    const argv = ['--rules', path('<b>&.json'), '--seconds', '5', '--html', path('page.html')];
    assert.equal((await run('simulate', '--synthetic', ...argv)).code, 0);
    assert.doesNotMatch(await readFile(path('page.html'), 'utf8'), /<b>/);
  });

  it('says which line of which file is at fault, and what of it', async () => {
    await writeFile(path('tickets.jsonl'), `${JSON.stringify(ticket('a', 25))}\n{"ticketId":"b"}\n`);
    const broken = await run('simulate', path('tickets.jsonl'));
    assert.equal(broken.code, 3);
    assert.match(broken.err, /INVALID_INPUT.*line=?.*2.*players/);
    await writeFile(path('twice.jsonl'), `${JSON.stringify(ticket('a', 25))}\n`.repeat(2));
    assert.match((await run('simulate', path('twice.jsonl'))).err, /the ticketId was there/);
    await writeFile(path('rules.json'), JSON.stringify({ ...DUEL, playersMin: 3 }));
    const rules = await run('simulate', '--synthetic', '--rules', path('rules.json'));
    assert.equal(rules.code, 3);
    assert.match(rules.err, /more than the teams hold/);
    await writeFile(path('empty.jsonl'), '\n');
    assert.match((await run('simulate', path('empty.jsonl'))).err, /no tickets/);
    assert.equal((await run('simulate', path('nowhere'))).code, 3);
  });

  it('answers wrong usage with the usage', async () => {
    for (const argv of [
      [],
      ['match'],
      ['simulate'],
      ['simulate', 'file', '--synthetic'],
      ['simulate', '--synthetic', '--seconds', '0'],
      ['simulate', '--synthetic', '--per-second', '1000', '--seconds', '86400'],
      ['simulate', '--synthetic', ...Array.from({ length: 9 }, () => ['--rules', 'x']).flat()],
      ['simulate', '--frobnicate'],
    ]) {
      const { code, err } = await run(...argv);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, /Usage: npm run matchmaker/);
    }
    assert.equal((await run('--help')).code, 0);
  });
});
