// Commands to copy.

// For a shell: what holds anything but plain characters goes into single quotes.
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`;
}
