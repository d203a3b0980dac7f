/** The program is killed in the middle of matches and started again on the same folder: its players notice a pause. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProbeFacts } from '../../loadtest/driver/probe-player.ts';
import { Probes } from '../../loadtest/driver/probes.ts';
import { FileJournal } from '../../src/adapters/file-journal.ts';
import type { RecordedMatch } from '../../src/match/journal.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { type MainProcess, startMain } from '../fixtures/main-process.ts';
import { until } from '../fixtures/until.ts';

const PLAYERS = 5;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a program that is killed and started again', function () {
  this.timeout(120_000);
  let fresh: FreshDatabase;
  let folder: string;
  let env: Record<string, string>;
  let program: MainProcess;
  let probes: Probes;

  const start = async (): Promise<void> => {
    program = startMain(env);
    await program.said(/"?ready"?/, 30_000);
  };
  const kill = async (): Promise<void> => {
    program.child.kill('SIGKILL');
    assert.equal(await program.exited, 'SIGKILL');
  };
  const all = (test: (facts: ProbeFacts) => boolean) => async () => (await probes.facts()).every(test);
  const seen = async (more: number): Promise<void> => {
    const before = await probes.facts();
    await until(
      async () => (await probes.facts()).every(({ patches }, i) => patches > before[i]!.patches + more),
      `${more} more patches`,
      30_000,
    );
  };
  const read = async (): Promise<RecordedMatch[]> => {
    const journal = await FileJournal.inspect(join(folder, 'journal'));
    const found = await Promise.all((await journal.list()).map(({ matchId }) => journal.load(matchId)));
    return found.filter((match) => match !== undefined);
  };

  beforeEach(async () => {
    fresh = await freshDatabase();
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-restart-'));
    env = {
      HYPOGEUM_PORT: String(await freePort()),
      HYPOGEUM_HOST: '127.0.0.1',
      HYPOGEUM_DATA: folder,
      HYPOGEUM_BOTS: '4',
      DATABASE_URL: fresh.url,
    };
    await start();
    const endpoint = `http://127.0.0.1:${env['HYPOGEUM_PORT']}`;
    probes = await Probes.start({ endpoint, roomName: 'arena', seed: 3, minUptimeMs: 0 });
  });
  afterEach(async () => {
    await probes?.stop();
    await kill();
    await fresh?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('goes on where it was, twice in a row: every player is back in the same room with the same objects', async () => {
    for (let i = 0; i < PLAYERS; i++) await probes.join();
    await seen(90);
    const before = await probes.facts();
    for (let kills = 1; kills <= 2; kills++) {
      await kill();
      await start();
      await until(
        all(({ resumes }) => resumes === kills),
        'everybody to be back',
        30_000,
      );
      await seen(90);
      const facts = await probes.facts();
      assert.deepEqual(
        facts.map(({ roomId, sessionId, matchId, seat, identityLosses, spuriousCallbacks, leftWith }) => {
          return { roomId, sessionId, matchId, seat, identityLosses, spuriousCallbacks, leftWith };
        }),
        before.map(({ roomId, sessionId, matchId, seat }) => {
          return { roomId, sessionId, matchId, seat, identityLosses: 0, spuriousCallbacks: 0, leftWith: undefined };
        }),
      );
    }
    for (const verdict of await probes.judge(read)) {
      const { frames, mismatches, othersMismatched, divergedAtTick } = verdict;
      assert.ok(frames > 180);
      assert.deepEqual(
        { mismatches, othersMismatched, divergedAtTick },
        { mismatches: 0, othersMismatched: 0, divergedAtTick: undefined },
        JSON.stringify(verdict),
      );
    }
    const metrics = await (await fetch(`http://127.0.0.1:${env['HYPOGEUM_PORT']}/metrics`)).text();
    assert.match(metrics, /^hypogeum_adoptions_total\{outcome="adopted"\} 1$/m);
    await probes.play(false);
    await until(
      all(({ inputsUnacked }) => inputsUnacked === 0),
      'every input to be answered',
    );
    const [match] = await read();
    assert.equal(match?.epoch, 3);
    assert.doesNotMatch(program.output(), /"level":50|TypeError| bug in /);
  });

  it('goes on also where it was told to end, if it was to keep its matches', async () => {
    await kill();
    env['HYPOGEUM_AT_EXIT'] = 'keep';
    await start();
    for (let i = 0; i < PLAYERS; i++) await probes.join();
    await seen(90);
    const before = await probes.facts();
    for (let restarts = 1; restarts <= 2; restarts++) {
      program.child.kill('SIGTERM');
      assert.equal(await program.exited, 0, program.output());
      assert.match(program.output(), /matches are kept for the next start/);
      await start();
      await until(
        all(({ resumes }) => resumes === restarts),
        'everybody to be back',
        30_000,
      );
      await seen(90);
      const facts = await probes.facts();
      assert.deepEqual(
        facts.map(({ roomId, sessionId, seat, identityLosses, leftWith }) => {
          return { roomId, sessionId, seat, identityLosses, leftWith };
        }),
        before.map(({ roomId, sessionId, seat }) => {
          return { roomId, sessionId, seat, identityLosses: 0, leftWith: undefined };
        }),
      );
    }
    // Nothing is taken back: all that anybody saw is in the journal.
    for (const { mismatches, othersMismatched, divergedAtTick } of await probes.judge(read)) {
      assert.deepEqual([mismatches, othersMismatched, divergedAtTick], [0, 0, undefined]);
    }
    const [match] = await read();
    assert.deepEqual([match?.end, match?.epoch], [undefined, 3]);
    assert.doesNotMatch(program.output(), /"level":50|TypeError| bug in /);
  });

  it('goes on from a journal whose last record was half written, and when another program has its port at first', async () => {
    for (let i = 0; i < 2; i++) await probes.join();
    await seen(60);
    await kill();
    const segments = (await readdir(join(folder, 'journal'))).filter((name) => name.endsWith('.seg')).sort();
    await appendFile(join(folder, 'journal', segments.at(-1)!), Buffer.from([9, 0, 0, 3, 1, 0, 0]));
    // Starts in vain are none of the match's fault.
    const blocker = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => blocker.listen(Number(env['HYPOGEUM_PORT']), '127.0.0.1', resolve));
    for (let i = 0; i < 2; i++) {
      const refused = startMain(env);
      assert.equal(await refused.exited, 69, refused.output());
    }
    await new Promise((resolve) => blocker.close(resolve));
    await start();
    await until(
      all(({ resumes }) => resumes === 1),
      'everybody to be back',
      60_000,
    );
    await seen(60);
    for (const { identityLosses, spuriousCallbacks, leftWith } of await probes.facts()) {
      assert.deepEqual([identityLosses, spuriousCallbacks, leftWith], [0, 0, undefined]);
    }
    const [match] = await read();
    assert.deepEqual([match?.end, match?.epoch], [undefined, 4]);
  });
});
