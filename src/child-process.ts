/** Checks whether a value has no functions, so that it can be sent to another process. */
export function isData(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  return typeof value !== 'object' || value === null || Object.values(value).every(isData);
}

/** Returns the options of Node that affect how files are loaded, which a step may need. Others concern the program of this process. */
export function loaderOptions(options: readonly string[]): string[] {
  const isLoader =
    /^(?:--import|--require|-r|--loader|--experimental-loader|--conditions|-C)(?:=|$)|^--(?:no-)?experimental-(?:strip|transform)-types$/;
  return options.flatMap((option, i) => {
    if (!isLoader.test(option)) return [];
    return option.includes('=') || option.endsWith('-types') ? [option] : [option, options[i + 1] ?? ''];
  });
}
