import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import { FileReplays } from '../../src/adapters/file-replays.ts';
import { RedisJournal } from '../../src/adapters/redis-journal.ts';
import { type AnySimulation, runReplayCli } from '../../src/cli/replay.ts';
import { packReplay } from '../../src/kernel/replay-file.ts';
import { JournalTotals } from '../../src/match/journal-totals.ts';
import { counterSim } from '../fixtures/counter-sim.ts';
import { CounterMatch, matchHeader, playReplay } from '../fixtures/recorded-match.ts';
import { RedisServer } from '../fixtures/redis-server.ts';

class Sink extends Writable {
  text = '';
  isTTY = false;
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

describe('the replay command', () => {
  let dataDir: string;

  async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
    return runWith(counterSim(), false, ...argv);
  }

  async function runWith(sim: unknown, isTTY: boolean, ...argv: string[]) {
    const stdout = new Sink();
    const stderr = new Sink();
    stderr.isTTY = isTTY;
    const simulations = new Map([['counter', sim as AnySimulation]]);
    const code = await runReplayCli(argv, { simulations, dataDir, stdout, stderr });
    return { code, out: stdout.text, err: stderr.text };
  }

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'hypogeum-cli-'));
    const replays = await FileReplays.open({ folder: join(dataDir, 'replays') });
    for (const id of ['first', 'second']) await replays.put(await playReplay(id, 100, replays.pseudonym));
    await replays.put(await playReplay('other', 100, replays.pseudonym, 9));
    await replays.put(await playReplay('long', 3000, replays.pseudonym));
    const journal = await FileJournal.open({ folder: join(dataDir, 'journal'), totals: new JournalTotals() });
    const header = matchHeader('crashed');
    await new CounterMatch(await journal.open(header, 1), header).play(65).writer.close();
    const poisoned = matchHeader('poisoned');
    await new CounterMatch(await journal.open(poisoned, 1), poisoned).play(5).writer.close();
    for (const epoch of [2, 3]) {
      const writer = await journal.open(poisoned, epoch);
      writer.tryRestore();
      await writer.close();
    }
    await journal.close();
  });
  after(() => rm(dataDir, { recursive: true }));

  it('lists replays, newest first, and the journals of matches that were cut short', async () => {
    const { code, out } = await run('list');
    assert.equal(code, 0);
    const lines = out.trimEnd().split('\n');
    assert.match(lines[0]!, /^match +state +room +began +length +players$/);
    assert.deepEqual(
      lines.slice(1).map((line) => line.split(/ {2,}/).slice(0, 3)),
      [
        ['long', 'completed', 'counter'],
        ['other', 'completed', 'counter'],
        ['second', 'completed', 'counter'],
        ['first', 'completed', 'counter'],
        ['crashed', 'unfinished', 'counter'],
        ['poisoned', 'parked', 'counter'],
      ],
    );
    const json = JSON.parse((await run('list', '--json', '--limit', '2')).out);
    assert.equal(json.replays.length, 2);
    assert.equal(json.journals[0].matchId, 'crashed');
    assert.equal(json.journals[0].ticks, 65);
  });

  it('reads the journals of a cluster from its Redis', async () => {
    const redis = await RedisServer.start();
    try {
      const journal = await RedisJournal.open({ url: redis.url, totals: new JournalTotals() });
      for (const [id, epochs] of [
        ['left', [1]],
        ['poisoned', [1, 2, 3]],
      ] as const) {
        const header = matchHeader(id);
        for (const epoch of epochs) {
          const writer = await journal.open(header, epoch);
          if (epoch === 1) new CounterMatch(writer, header).play(65);
          else writer.tryRestore();
          await writer.close();
        }
      }
      await journal.close();
      const { code, out } = await run('list', '--json', '--redis', redis.url);
      assert.equal(code, 0);
      const { journals } = JSON.parse(out) as { journals: { matchId: string; state: string }[] };
      assert.deepEqual(
        journals.map(({ matchId, state }) => [matchId, state]),
        [
          ['left', 'running or unfinished'],
          ['poisoned', 'parked'],
        ],
      );
      assert.match((await run('verify', 'poisoned', '--redis', redis.url)).out, /^poisoned: 65 ticks/);
    } finally {
      await redis.stop();
    }
    assert.equal((await run('list', '--redis', redis.url)).code, 3, 'a Redis that is away');
  });

  it('says that nothing is recorded where nothing is', async () => {
    const { code, out } = await run('list', '--data', join(dataDir, 'none'));
    assert.equal(code, 0);
    assert.match(out, /^Nothing is recorded/);
  });

  it('verifies by id, by path and from the journal of a crashed match', async () => {
    for (const [file, ticks] of [
      ['first', 100],
      [join(dataDir, 'replays/first.hypr'), 100],
      ['crashed', 65],
    ] as const) {
      const { code, out } = await run('verify', file, '--json');
      assert.equal(code, 0);
      assert.equal(JSON.parse(out).kind, 'same');
      assert.equal(JSON.parse(out).ticks, ticks);
    }
    assert.match((await run('verify', 'first')).out, /^first: 100 ticks, 4 hashes, all the same\.\n$/);
  });

  it('exits with 1 and names the tick when the re-simulation differs', async () => {
    const { code, out } = await runWith(counterSim({ bugAtTick: 40 }), false, 'verify', 'first');
    assert.equal(code, 1);
    assert.match(
      out,
      /^first: differs after tick 29, seen at tick 59: recorded [0-9a-f]{16}, simulated [0-9a-f]{16}\.\n$/,
    );
  });

  it('compares two replays and names tick and field', async () => {
    assert.deepEqual(await run('diff', 'first', 'second'), { code: 0, out: 'The same over 100 ticks.\n', err: '' });
    const setup = await run('diff', 'first', 'other');
    assert.equal(setup.code, 1);
    assert.match(setup.out, /seed is 7 and 9/);
    const length = await run('diff', 'first', 'crashed', '--json');
    assert.equal(length.code, 1);
    assert.deepEqual(JSON.parse(length.out), { kind: 'length', aTicks: 100, bTicks: 65 });
  });

  it('summarises who played and how it ended', async () => {
    const { code, out } = await run('summary', 'first');
    assert.equal(code, 0);
    for (const part of ['counter 1', '0:03 (100 ticks at 30 Hz)', 'seed=7', 'completed', 'Ada', 'Grace', 'total']) {
      assert.ok(out.includes(part), `${part} in ${out}`);
    }
    assert.match((await run('summary', 'crashed')).out, /cut short, no result/);
    assert.equal(JSON.parse((await run('summary', 'first', '--json')).out).matchId, 'first');
  });

  it('exports header and entries as JSON lines, to the terminal or whole into a file', async () => {
    const { code, out } = await run('export', 'crashed');
    assert.equal(code, 0);
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(lines.length, 66);
    assert.equal(lines[0].matchId, 'crashed');
    assert.equal(lines[1].events[0].name, 'Ada');
    assert.match(lines[30].hash, /^[0-9a-f]{16}$/);
    assert.ok(!out.includes('player-ada'));

    const file = join(dataDir, 'export.jsonl');
    assert.equal((await run('export', 'crashed', '--out', file)).code, 0);
    assert.equal(await readFile(file, 'utf8'), out);
    const nowhere = await run('export', 'crashed', '--out', join(dataDir, 'none/export.jsonl'));
    assert.equal(nowhere.code, 3);
    assert.ok(!(await readdir(dataDir)).some((name) => name.endsWith('.tmp')));
  });

  it('exits with 2 and shows the usage on a wrong command line', async () => {
    for (const argv of [
      [],
      ['frob'],
      ['verify'],
      ['diff', 'first'],
      ['list', 'x'],
      ['list', '--limit', '0'],
      ['list', '--frob'],
      ['summary', 'first', '--out', 'x'],
      ['constructor'],
    ]) {
      const { code, out, err } = await run(...argv);
      assert.equal(code, 2, argv.join(' '));
      assert.equal(out, '');
      assert.match(err, /Usage: npm run replay/);
    }
    const help = await run('--help');
    assert.equal(help.code, 0);
    assert.match(help.out, /^Usage: npm run replay/);
  });

  it('exits with 3 and one line when something cannot be read', async () => {
    const damaged = join(dataDir, 'damaged.hypr');
    await writeFile(damaged, 'HYPR\x01 and no more');
    for (const [file, code] of [
      ['nobody', 'REPLAY_NOT_FOUND'],
      [damaged, 'REPLAY_CORRUPT'],
      [join(dataDir, 'none.hypr'), 'ENOENT'],
      [`${dataDir}/`, 'EISDIR'],
    ] as const) {
      const result = await run('verify', file);
      assert.equal(result.code, 3);
      assert.ok(result.err.includes(code), result.err);
      assert.equal(result.err.trimEnd().split('\n').length, 1);
    }
    const version = await runWith(counterSim({ version: 2 }), false, 'verify', 'first');
    assert.equal(version.code, 3);
    assert.match(version.err, /REPLAY_VERSION/);
  });

  it('a stranger’s file cannot steer the terminal', async () => {
    const replay = await playReplay('evil', 3);
    const players = replay.header.players.map((player) => ({ ...player, name: '\x1b[2J\u202egnp' }));
    const file = join(dataDir, 'evil.hypr');
    await writeFile(file, await packReplay({ ...replay, header: { ...replay.header, players } }));
    const { code, out } = await run('summary', file);
    assert.equal(code, 0);
    assert.ok(!/\p{C}/u.test(out.replaceAll('\n', '')));
  });

  it('shows progress on a terminal and nowhere else', async () => {
    const shown = await runWith(counterSim(), true, 'verify', 'long');
    assert.match(shown.err, /verify [0-9]+ %/);
    assert.ok(shown.err.endsWith('\r\x1b[K'));
    assert.equal((await run('verify', 'long')).err, '');
  });

  it('tells of a server that is using the folder, and reads beside it', async () => {
    const journal = await FileJournal.open({ folder: join(dataDir, 'journal'), totals: new JournalTotals() });
    try {
      const header = matchHeader('live');
      const match = new CounterMatch(await journal.open(header, 1), header).play(30);
      await match.writer.flush();
      assert.match((await run('list')).out, /live +running or unfinished/);
      assert.equal((await run('verify', 'live')).code, 0);
      match.play(5);
      await match.writer.flush();
      assert.equal((await journal.load('live'))?.entries.length, 35);
      await journal.remove('live');
    } finally {
      await journal.close();
    }
  });

  it('runs as a program', () => {
    const program = join(import.meta.dirname, '../../src/cli/replay.ts');
    const help = spawnSync(process.execPath, [program, '--help'], { encoding: 'utf8' });
    assert.equal(help.status, 0);
    assert.match(help.stdout, /^Usage/);
    const list = spawnSync(process.execPath, [program, 'list', '--json'], {
      encoding: 'utf8',
      env: { ...process.env, HYPOGEUM_DATA: dataDir },
    });
    assert.equal(list.status, 0);
    assert.equal(JSON.parse(list.stdout).replays.length, 4);
  });
});
