import { answer, type PlayerCommand } from './command.ts';

export const setPassword: PlayerCommand = {
  usage: 'ID [--email ADDRESS]',
  help: 'sets the password given on standard input, and the e-mail; its sign-ins end',
  options: { email: { type: 'string' } },
  async run(context, playerId, _operands, { email }) {
    if (context.stderr.isTTY === true) context.stderr.write('New password, 8 to 256 characters: ');
    await context.accounts.setPassword(playerId, await context.readLine(), email);
    return answer(context, { playerId, isSet: true }, `${playerId} has a new password and has to sign in again.`);
  },
};
