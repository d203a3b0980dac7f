import { answer, type PlayerCommand } from './command.ts';

export const signOut: PlayerCommand = {
  usage: 'ID',
  help: 'ends every sign-in of an account, such as after a theft',
  async run(context, playerId) {
    const ended = await context.accounts.endSessions(playerId, 'operator');
    return answer(context, { playerId, ended }, `${ended} sign-in${ended === 1 ? '' : 's'} ended.`);
  },
};
