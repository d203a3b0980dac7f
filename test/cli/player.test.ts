import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { ARGON2 } from '../../src/accounts/password-hasher.ts';
import { runPlayerCli } from '../../src/cli/player.ts';
import { type AccountsStage, accountsStage, refusedWith } from '../fixtures/accounts.ts';

const NETWORK = '203.0.113.9';
const PASSWORD = 'correct horse';

class Text extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

describe('npm run player', () => {
  let stage: AccountsStage;
  let count = 0;

  before(async () => {
    // The command hashes at full cost.
    stage = await accountsStage({}, ARGON2);
  });
  after(() => stage.close());

  async function run(argv: readonly string[], input = '') {
    const stdout = new Text();
    const stderr = new Text();
    const env = { DATABASE_URL: stage.fresh.url };
    const code = await runPlayerCli(argv, { env, stdin: Readable.from([input]), stdout, stderr });
    return { code, out: stdout.text, err: stderr.text };
  }

  async function registered() {
    const email = `cli-${++count}@example.org`;
    const { user, refreshToken } = await stage.accounts.register({ email, password: PASSWORD }, NETWORK);
    return { email, refreshToken, id: user.playerId };
  }

  it('shows an account without its e-mail', async () => {
    const { id } = await registered();
    const { code, out } = await run(['show', id]);
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^player   ${id}\n`));
    assert.match(out, /registered, role player/);
    assert.doesNotMatch(out, /@/);
    assert.equal(JSON.parse((await run(['show', id, '--json'])).out).role, 'player');
  });

  it('gives a role, which ends sign-ins', async () => {
    const { id, refreshToken } = await registered();
    assert.equal((await run(['role', id, 'admin'])).code, 0);
    assert.match((await run(['role', id, 'admin'])).out, /was admin already/);
    await refusedWith('REFRESH_INVALID', stage.accounts.refresh(refreshToken));
    const guest = await stage.accounts.signInAnonymously();
    const refused = await run(['role', guest.user.playerId, 'admin']);
    assert.equal(refused.code, 3);
    assert.match(refused.err, /^NOT_ALLOWED: .*\n$/);
  });

  it('bans and unbans', async () => {
    const { id, email } = await registered();
    const until = new Date(Date.now() + 3_600_000).toISOString();
    assert.match((await run(['ban', id, '--reason', 'abuse', '--until', until])).out, new RegExp(`until ${until}`));
    assert.match((await run(['show', id])).out, /ban {6}abuse, until/);
    await refusedWith('ACCOUNT_BANNED', stage.accounts.signIn({ email, password: PASSWORD }, NETWORK));
    assert.match((await run(['unban', id])).out, /may play again/);
    assert.match((await run(['unban', id])).out, /There was no ban/);
    await stage.accounts.signIn({ email, password: PASSWORD }, NETWORK);
  });

  it('ends sign-ins, and sets the password that standard input has', async () => {
    const { id, email } = await registered();
    assert.match((await run(['sign-out', id])).out, /^1 sign-in ended/);
    assert.equal((await run(['set-password', id], 'a new password\n')).code, 0);
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: PASSWORD }, NETWORK));
    await stage.accounts.signIn({ email, password: 'a new password' }, NETWORK);
    assert.match((await run(['set-password', id], 'short\n')).err, /^CREDENTIALS_INVALID: /);
  });

  it('exports one JSON document of account and every event that names the player', async () => {
    const { id, email } = await registered();
    const { code, out } = await run(['export', id]);
    assert.equal(code, 0);
    const all = JSON.parse(out);
    assert.equal(all.person.email, email);
    assert.deepEqual(
      all.events.map(({ type }: { type: string }) => type),
      ['account.created', 'account.exported'],
    );
    assert.equal(all.events[1].payload.by, 'operator');
  });

  it('erases, once it is told that this is meant', async () => {
    const { id, email } = await registered();
    assert.equal((await run(['erase', id])).code, 2);
    assert.equal((await run(['erase', id, '--yes'])).code, 0);
    await refusedWith('CREDENTIALS_WRONG', stage.accounts.signIn({ email, password: PASSWORD }, NETWORK));
    assert.match((await run(['show', id])).out, /erased/);
    for (const argv of [
      ['erase', id, '--yes'],
      ['export', id],
      ['sign-out', id],
      ['role', id, 'admin'],
    ]) {
      const { code, err } = await run(argv);
      assert.equal(code, 3);
      assert.match(err, /^ACCOUNT_ERASED: /);
    }
  });

  it('answers wrong usage with 2 and what it wanted', async () => {
    const id = `a-${'A'.repeat(22)}`;
    for (const [argv, text] of [
      [[], /A command is needed/],
      [['dance', id], /No command dance/],
      [['show'], /A player id is/],
      [['show', "a-' or 1=1 --"], /A player id is/],
      [['show', id, 'more'], /Usage: show ID/],
      [['role', id, 'god'], /A role is one of/],
      [['ban', id], /--reason is one of/],
      [['ban', id, '--reason', 'abuse', '--until', 'tomorrow'], /--until is a time/],
      [['ban', id, '--reason', 'abuse', '--until', '1999-01-01'], /in the past/],
      [['show', id, '--loud'], /loud/],
    ] as const) {
      const { code, err } = await run(argv);
      assert.equal(code, 2, argv.join(' '));
      assert.match(err, text);
    }
    assert.match((await run(['show', id])).err, /^PLAYER_UNKNOWN: /);
    const help = await run(['--help']);
    assert.equal(help.code, 0);
    assert.match(help.out, /set-password ID/);
  });
});
