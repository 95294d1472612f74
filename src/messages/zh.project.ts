import type { Catalog } from './translate.js';

/** Config files, step files and declarations. */
export const zhProject = {
  'There is no umzug-backfill.config.js in {folder}, nor a compiled one in its dist folder':
    '{folder} 中没有 umzug-backfill.config.js，其 dist 文件夹中也没有编译后的配置文件',
  'The config file {file} can not be loaded ({thrown})': '无法加载配置文件 {file} （{thrown}）',
  '{~message} (at {place})': '{message}（位于 {place}）',
  'The config file {file} has no config as its default export': '配置文件 {file} 的默认导出不是配置',
  'Unknown option `{option}` in {~what}': '{what} 中有未知的选项 `{option}`',
  'Expected `{option}` in {~what} to be a non-empty string, got `{value}`':
    '{what} 中的 `{option}` 应为非空字符串，实际为 `{value}`',
  'Expected `steps` in {what} to be a list of folders': '{what} 中的 `steps` 应为文件夹的列表',
  'The expression of sql() gives another value each time: {found}': 'sql() 的表达式每次给出不同的值：{found}',
  'Expected `down` in defineSqlStep() to be a list of statements':
    'defineSqlStep() 中的 `down` 应为语句的列表',
  'Expected each text in {~what} to be one statement, got {~found}: {text}':
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
  "A statement in defineSqlStep() can not run inside the step's transaction: {sql}":
    'defineSqlStep() 中有语句不能在步骤的事务内运行：{sql}',
  'firstOf() needs at least one member name': 'firstOf() 至少需要一个成员名',
  'The member name {name} can not be written in an SQLite JSON path':
    '成员名 {name} 无法写入 SQLite 的 JSON 路径',
  'Two step files are both named {name}': '有两个步骤文件都名为 {name}',
  'The step folder {folder} can not be read': '无法读取步骤文件夹 {folder}',
  'The step file {file} can not be loaded ({thrown})': '无法加载步骤文件 {file} （{thrown}）',
  'The name of the step file {file} holds a control character': '步骤文件名 {file} 含有控制字符',
  'The step file {file} has no step as its default export': '步骤文件 {file} 的默认导出不是步骤',
  'Expected `requires.tables` in {what} to be an object with a list of columns for each table':
    '{what} 中的 `requires.tables` 应为一个对象，其中每个表对应一个列名列表',
  'Run the command in the folder of your project, or make this folder one: umzug-backfill init':
    '请在项目的文件夹中运行命令，或将此文件夹设为项目： umzug-backfill init',
  'Compile it first: npx tsc, or what builds your project': '请先编译： npx tsc，或构建您的项目的命令',
  'Run it alone with node to see why': '请单独用 node 运行它以查看原因',
  'Export one: export default defineConfig({ … })': '请导出一个： export default defineConfig({ … })',
  'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)':
    '请导出一个： export default defineBackfill({ … })、defineSchemaStep({ … })、defineSqlStep({ … }) 或 requireBackfill(NAME)',
  'Compile the steps to JavaScript first (tsc), and name that folder':
    '请先将步骤编译为 JavaScript（ tsc ），再指定编译后的文件夹',
  'Compile the steps first, if there are any, or name folders that exist in `steps` of the config file':
    '如果有步骤，请先编译，或在配置文件的 `steps` 中指定存在的文件夹',
  'Give it a name of one line': '请给它一个不换行的名称',
  'Name one': '请至少指定一个',
  'It takes: {options}': '可用的选项：{options}',
  'Set `{option}` in {~what}': '请在 {what} 中设置 `{option}`',
  'Name the members to try': '请指定要尝试的成员名',
  'Use a name without quotes, backslashes and control characters': '请使用不含引号、反斜杠和控制字符的名称',
  'Split the backfill, or name a column': '请拆分该回填，或指定一列',
  "Write 'process' as its value, or list the columns if `process` fills all of them":
    "请把该列的值写成 'process'；若所有列都由 `process` 填充，请列出这些列",
  'List the columns that `process` reads, beside the key': '请列出 `process` 除键以外读取的列',
  'Leave it out: a rule that is broken fails': '请省略它：被违反的规则即为失败',
  'Begin with 1, and raise it when `process` derives otherwise':
    '从 1 开始，当 `process` 的推导方式改变时递增',
  'Take what the row itself says, so that it can be verified and taken back':
    '请取自该行本身，以便校验和撤回',
  'Rename one of {file} and {other}': '请重命名 {file} 和 {other} 之一',
  'Give a type alone, as TEXT: constraints and defaults can not be taken back exactly':
    '请只写类型，如 TEXT：约束和默认值无法精确撤回',
  'Name the columns of the index, in order': '请按顺序指定索引的列',
  'Leave it out: each step runs in a transaction of its own': '请去掉它：每个步骤都在自己的事务中运行',
  '{~hint}; the step is declared in {file}': '{hint} ；该步骤声明于 {file}',
  'Give each statement a text of its own in the list, with the values written into it':
    '请让列表中的每个文本只含一条语句，并把值直接写入其中',
  'Give each of them a text of its own in the list': '请让列表中的每个文本只含一条语句',
  'Write its value into the statement: nothing is bound to it': '请把值直接写入语句：不会为它绑定任何值',
  'Leave it out': '请去掉它',
  'Name one, or leave it out: the step can not be reverted then': '请给出一条，或去掉它：此时该步骤无法撤销',
  'Name the columns that each table must have': '请写出每个表必须具有的列',
  'Expected `version.to` in {what} to be a version, got `{version}`':
    '{what} 中的 `version.to` 应为版本号，实际为 `{version}`',
  'Name two of `columns` and set `timestamps: true`': '请指定 `columns` 中的两列，并设置 `timestamps: true`',
} as const satisfies Catalog;
