import type { Catalogue } from './message.js';

/** Config files, step files and declarations. */
export const zhProject = {
  'There is no umzug-backfill.config.js in {folder}, nor a compiled one in its dist folder':
    '{folder} 中没有 umzug-backfill.config.js，其 dist 文件夹中也没有编译后的配置文件',
  'The config file {file} cannot be loaded ({thrown})': '无法加载配置文件 {file} （{thrown}）',
  '{message} (at {place})': '{message}（位于 {place}）',
  'The default export of the config file {file} is not a config': '配置文件 {file} 的默认导出不是配置',
  'Unknown option `{option}` in {what}': '{what} 中有未知的选项 `{option}`',
  'The expression of sql() is not deterministic: {found}': 'sql() 的表达式不是确定性的：{found}',
  'Expected `down` in defineSqlStep() to be a list of statements':
    'defineSqlStep() 中的 `down` 应为语句的列表',
  'Expected each text in {what} to be one statement, got {found}: {text}':
    '{what} 中的每个文本应为一条语句，实际为{found}：{text}',
  'no statement': '没有语句',
  'several statements': '多条语句',
  'a parameter': '含参数',
  'A text of the step {name} is not one statement without parameters: {text}':
    '步骤 {name} 的一个文本不是一条不含参数的语句：{text}',
  'Expected `columns.{column}` in {what} to be a type name, got `{type}`':
    '{what} 中的 `columns.{column}` 应为类型名，实际为 `{type}`',
  'Expected `indexes.{index}.columns` in {what} to be a list of column names':
    '{what} 中的 `indexes.{index}.columns` 应为列名的列表',
  'Expected `up` in defineSqlStep() to be a list of statements': 'defineSqlStep() 中的 `up` 应为语句的列表',
  "A statement in defineSqlStep() cannot run inside the step's transaction: {sql}":
    'defineSqlStep() 中有语句不能在步骤的事务内运行：{sql}',
  'firstOf() requires at least one member name': 'firstOf() 至少需要一个成员名',
  'The member name {name} cannot be used in a JSON path of SQLite':
    '成员名 {name} 无法写入 SQLite 的 JSON 路径',
  'Two step files are named {name}': '有两个步骤文件都名为 {name}',
  'The step folder {folder} cannot be read': '无法读取步骤文件夹 {folder}',
  'The step file {file} cannot be loaded ({thrown})': '无法加载步骤文件 {file} （{thrown}）',
  'The name of the step file {file} contains a control character': '步骤文件名 {file} 含有控制字符',
  'The default export of the step file {file} is not a step': '步骤文件 {file} 的默认导出不是步骤',
  'Run the command in the folder of the project, or create a project here: umzug-backfill init':
    '请在项目的文件夹中运行命令，或将此文件夹设为项目： umzug-backfill init',
  'Compile it first: npx tsc, or the build command of your project':
    '请先编译： npx tsc，或构建您的项目的命令',
  'Run it with node to see the error': '请用 node 运行它以查看错误',
  'Export one: export default defineConfig({ … })': '请导出一个： export default defineConfig({ … })',
  'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)':
    '请导出一个： export default defineBackfill({ … })、defineSchemaStep({ … })、defineSqlStep({ … }) 或 requireBackfill(NAME)',
  'Compile the steps to JavaScript first (tsc), and set `steps` to that folder':
    '请先将步骤编译为 JavaScript（ tsc ），再将 `steps` 设为编译后的文件夹',
  'Compile the steps first, or set `steps` in the config file to existing folders':
    '请先编译步骤，或将配置文件中的 `steps` 设为存在的文件夹',
  'Rename it without control characters': '请将其改为不含控制字符的名称',
  'Remove it, or use one of: {options}': '请去掉它，或使用以下之一：{options}',
  'Set `{option}` in {what}': '请在 {what} 中设置 `{option}`',
  'List the members to try': '请指定要尝试的成员名',
  'Use a name without quotes, backslashes and control characters': '请使用不含引号、反斜杠和控制字符的名称',
  'Split the backfill, or pass at least one column': '请拆分该回填，或至少给出一列',
  "Set its value to 'process', or list the columns if `process` fills all of them":
    "请把该列的值写成 'process'；若所有列都由 `process` 填充，请列出这些列",
  'List the columns that `process` reads in addition to the key': '请列出 `process` 除键以外读取的列',
  'Remove it for the default, fail': '请去掉它以使用默认值 fail',
  'Start with 1, and increase it when `process` derives other values':
    '从 1 开始，当 `process` 的推导方式改变时递增',
  'Use only values of the row, so that the result can be verified and reverted':
    '请只使用该行的值，以便校验和撤销',
  'Rename one of {file} and {other}': '请重命名 {file} 和 {other} 之一',
  'Pass only a type, such as TEXT; constraints and defaults cannot be reverted exactly':
    '请只写类型，例如 TEXT ；约束和默认值无法精确撤销',
  'List the columns of the index, in order': '请按顺序指定索引的列',
  'Remove it: each step runs in a separate transaction': '请去掉它：每个步骤都在自己的事务中运行',
  '{hint}; the step is declared in {file}': '{hint} ；该步骤声明于 {file}',
  'Pass each statement as a separate text in the list, with values instead of parameters':
    '请让列表中的每个文本只含一条语句，并把值直接写入其中',
  'Pass each of them as a separate text in the list': '请让列表中的每个文本只含一条语句',
  'Write its value into the statement; parameters are not supported': '请把值直接写入语句；不支持参数',
  'Remove it': '请去掉它',
  'Pass at least one statement, or remove `down`; without it the step cannot be reverted':
    '请至少给出一条语句，或去掉 `down`；没有它就无法撤销该步骤',
  'Expected `version.to` in {what} to be a version, got `{version}`':
    '{what} 中的 `version.to` 应为版本号，实际为 `{version}`',
  'Set it to two of `columns`, and set `timestamps: true`':
    '请将其设为 `columns` 中的两列，并设置 `timestamps: true`',
  'Pass at least one statement': '请至少给出一条语句',
  '{file} is not compiled, and does not run': '{file} 没有编译，不会运行',
  '{file} is newer than {compiled}, which runs': '{file} 比实际运行的 {compiled} 新',
  '{file} no longer has a source, and still runs': '{file} 已没有源文件，但仍会运行',
} as const satisfies Catalogue;
