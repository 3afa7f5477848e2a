/**
 * Short phrases of the server in the language of the page: why a file was skipped, what was noticed of a picture, what
 * a run has to say. They hold names and numbers, so each is found by its English with places in it.
 *
 * {phrase} and {phrase2} are phrases in themselves, {list} a list of phrases, {names} a list of names; what the
 * other places stand for is taken over as it is. Errors are in errors/, found sentence by sentence.
 */

import { choose } from "./choosing.mjs";
import { DATA_ERRORS } from "./errors/data.mjs";
import { MODEL_ERRORS } from "./errors/models.mjs";
import { RULES } from "./errors/rules.mjs";
import { TRAINING_ERRORS } from "./errors/training.mjs";
import { NODE_LINES } from "./node_lines.mjs";
import { PRESET_REASONS } from "./preset_reasons.mjs";
import { sentencesOf, translated } from "./rows.mjs";

const MORE = { zh: "等另外 $1 个", "zh-TW": "等另外 $1 個" };

/** @type {ReadonlyArray<import("./rows.mjs").Row>} The first that fits counts. */
export const PHRASES = [
  // Why a file was skipped
  ["skipped: {phrase}", "已跳过：{phrase}", "已略過：{phrase}"],
  ["a format this install cannot read ({formats})", "此环境无法读取的格式（{formats}）", "此環境無法讀取的格式（{formats}）"],
  ["cut short", "不完整", "不完整"],
  ["damaged", "已损坏", "已損壞"],
  ["empty", "空文件", "空檔案"],
  ["empty file", "空文件", "空檔案"],
  ["{format} cannot be read; save it as PNG or JPEG", "无法读取 {format}，请另存为 PNG 或 JPEG", "無法讀取 {format}，請另存為 PNG 或 JPEG"],
  ["{format} cannot be read", "无法读取 {format}", "無法讀取 {format}"],
  ["a {format} picture, which cannot be read here; save it as PNG or JPEG", "此处无法读取的 {format} 图片，请另存为 PNG 或 JPEG", "此處無法讀取的 {format} 圖片，請另存為 PNG 或 JPEG"],
  ["a {format} picture", "{format} 图片", "{format} 圖片"],
  ["a Git LFS pointer, not the picture; fetch it with git lfs pull", "只是 Git LFS 指针，不是图片，请用 git lfs pull 取回", "只是 Git LFS 指標，不是圖片，請用 git lfs pull 取回"],
  ["a Git LFS pointer", "Git LFS 指针", "Git LFS 指標"],
  ["a PDF document, not a picture", "PDF 文档，不是图片", "PDF 文件，不是圖片"],
  ["a PDF document", "PDF 文档", "PDF 文件"],
  ["a {kind} archive, not a picture", "{kind} 压缩包，不是图片", "{kind} 壓縮檔，不是圖片"],
  ["a {kind} archive", "{kind} 压缩包", "{kind} 壓縮檔"],
  ["a film, not a picture", "视频，不是图片", "影片，不是圖片"],
  ["a film", "视频", "影片"],
  ["an SVG drawing, not a picture of pixels", "SVG 矢量图，不是像素图片", "SVG 向量圖，不是像素圖片"],
  ["an SVG drawing", "SVG 矢量图", "SVG 向量圖"],
  ["this is a web page, not a picture", "这是网页，不是图片", "這是網頁，不是圖片"],
  ["this is a web page", "网页", "網頁"],
  ["not a picture, or a format this Pillow cannot read", "不是图片，或是此版本 Pillow 无法读取的格式", "不是圖片，或是此版本 Pillow 無法讀取的格式"],
  ["not a picture", "不是图片", "不是圖片"],
  ["not an ordinary file", "不是普通文件", "不是一般檔案"],
  ["broken or cut short inside its header", "文件头损坏或不完整", "檔頭損壞或不完整"],
  ["broken: {problem}", "已损坏：{problem}", "已損壞：{problem}"],
  ["broken", "已损坏", "已損壞"],
  ["truncated: the file ends before the picture does", "文件不完整：图片还没结束文件就断了", "檔案不完整：圖片還沒結束檔案就斷了"],
  ["truncated, {share}% readable", "文件不完整，只能读取 {share}%", "檔案不完整，只能讀取 {share}%"],
  ["truncated", "文件不完整", "檔案不完整"],
  ["its pixels hold NaN or infinite values", "像素中有 NaN 或无穷大", "像素中有 NaN 或無限大"],
  ["larger than {size} KB", "大于 {size} KB", "大於 {size} KB"],
  ["larger than {size}", "文件过大", "檔案過大"],
  ["still being written; read the folder again once it is complete", "还在写入，完成后请重新读取文件夹", "還在寫入，完成後請重新讀取資料夾"],
  ["still being written", "还在写入", "還在寫入"],
  ["permission denied", "没有读取权限", "沒有讀取權限"],
  ["too large: more than {count} million pixels", "过大：超过 {count} 百万像素", "過大：超過 {count} 百萬像素"],
  ["too large", "过大", "過大"],
  ["too small: its short side is {side} pixels, below {least}", "过小：短边 {side} 像素，低于 {least}", "過小：短邊 {side} 像素，低於 {least}"],
  ["too small", "过小", "過小"],
  ["too long: its aspect is {aspect}:1, above {most}:1", "过长：长宽比 {aspect}:1，超过 {most}:1", "過長：長寬比 {aspect}:1，超過 {most}:1"],
  ["too long", "过长", "過長"],
  ["a link that leads nowhere", "指向不存在位置的链接", "指向不存在位置的連結"],
  ["a link to a folder is not followed", "不跟随指向文件夹的链接", "不跟隨指向資料夾的連結"],
  ["the folder of a training run; its pictures are not read", "一次训练的文件夹，其中的图片不读取", "一次訓練的資料夾，其中的圖片不讀取"],
  ["file name too long", "文件名过长", "檔名過長"],
  ["a link that leaves the folder", "指向文件夹之外的链接", "指向資料夾之外的連結"],
  ["its folder {name} asks for 0 repeats", "所在文件夹 {name} 的重复次数为 0", "所在資料夾 {name} 的重複次數為 0"],
  ["an RTF document, not plain text; save it as plain text", "RTF 文档，不是纯文本，请另存为纯文本", "RTF 文件，不是純文字，請另存為純文字"],
  ["an RTF document", "RTF 文档", "RTF 文件"],
  ["a PDF, not text", "PDF，不是文本", "PDF，不是文字"],
  ["a PDF", "PDF", "PDF"],
  ["a web page, not text", "网页，不是文本", "網頁，不是文字"],
  ["a web page", "网页", "網頁"],
  ["ISO-2022 text; save it as UTF-8", "ISO-2022 文本，请另存为 UTF-8", "ISO-2022 文字，請另存為 UTF-8"],
  ["ISO-2022 text", "ISO-2022 文本", "ISO-2022 文字"],
  ["not UTF-8, and its encoding cannot be told for certain; save it as UTF-8", "不是 UTF-8，也无法确定编码，请另存为 UTF-8", "不是 UTF-8，也無法確定編碼，請另存為 UTF-8"],
  ["not UTF-8", "不是 UTF-8", "不是 UTF-8"],
  ["not text", "不是文本", "不是文字"],
  ["damaged: it begins as {codec} but does not go on so", "已损坏：开头是 {codec}，后面却不是", "已損壞：開頭是 {codec}，後面卻不是"],
  ["its first line names no column file_name", "第一行没有 file_name 列", "第一行沒有 file_name 欄"],

  // What was noticed of a picture
  ["animated: the first of {count} frames is used", "动图：使用 {count} 帧中的第一帧", "動圖：使用 {count} 影格中的第一格"],
  ["the first of {count} pages is used", "使用 {count} 页中的第一页", "使用 {count} 頁中的第一頁"],
  ["heavy compression", "压缩过重", "壓縮過重"],
  ["an {format} named {suffix}", "实际是 {format}，后缀却是 {suffix}", "實際是 {format}，副檔名卻是 {suffix}"],
  ["a {format} named {suffix}", "实际是 {format}，后缀却是 {suffix}", "實際是 {format}，副檔名卻是 {suffix}"],
  ["colours converted from {profile}", "颜色已从 {profile} 转换", "色彩已從 {profile} 轉換"],
  ["its colour profile cannot be used", "颜色配置文件无法使用", "色彩描述檔無法使用"],
  ["its mask {name} is not used: {phrase}", "蒙版 {name} 未使用：{phrase}", "遮罩 {name} 未使用：{phrase}"],
  ["longer than 64 KB; only its beginning is read", "超过 64 KB，只读取开头", "超過 64 KB，只讀取開頭"],
  ["invisible characters removed", "已去掉不可见字符", "已去掉不可見字元"],
  ["repeated tags left out", "已去掉重复的标签", "已去掉重複的標籤"],
  ["read as {codec}, not UTF-8; save it as UTF-8", "按 {codec} 读取，不是 UTF-8，请另存为 UTF-8", "以 {codec} 讀取，不是 UTF-8，請另存為 UTF-8"],
  ["caption: folder's name", "以文件夹名为标注", "以資料夾名為標註"],
  ["caption: {phrase}", "标注：{phrase}", "標註：{phrase}"],
  ["<lora:...> loads nothing in training; it is read as words", "训练时 <lora:...> 不会加载任何东西，只当作文字读取", "訓練時 <lora:...> 不會載入任何東西，只當作文字讀取"],
  ["some tags are written with _ and some with spaces; prompts must match each", "有的标签用 _，有的用空格，提示词须与各自的写法一致", "有的標籤用 _，有的用空格，提示詞須與各自的寫法一致"],
  ["no words in {name}", "{name} 里没有文字", "{name} 裡沒有文字"],

  // What was noticed of a folder
  ["{count} hidden file is not read", "{count} 个隐藏文件未读取", "{count} 個隱藏檔未讀取"],
  ["{count} hidden files are not read", "{count} 个隐藏文件未读取", "{count} 個隱藏檔未讀取"],
  ["in more than one dataset, so trained once for each: {names}", "在多个数据集中，每个数据集各训练一次：{names}", "在多個資料集中，每個資料集各訓練一次：{names}"],
  ["{count} caption file belongs to no picture beside it: {names}", "{count} 个标注文件旁边没有对应的图片：{names}", "{count} 個標註檔旁邊沒有對應的圖片：{names}"],
  ["{count} caption files belong to no picture beside them: {names}", "{count} 个标注文件旁边没有对应的图片：{names}", "{count} 個標註檔旁邊沒有對應的圖片：{names}"],
  ["{count} file is not read as captions: {names}", "{count} 个文件未作为标注读取：{names}", "{count} 個檔案未作為標註讀取：{names}"],
  ["{count} files are not read as captions: {names}", "{count} 个文件未作为标注读取：{names}", "{count} 個檔案未作為標註讀取：{names}"],
  ["{count} caption file is not read, as its picture has one that comes first: {names}", "{count} 个标注文件未读取，其图片另有优先的标注：{names}", "{count} 個標註檔未讀取，其圖片另有優先的標註：{names}"],
  ["{count} caption files are not read, as their pictures have one that comes first: {names}", "{count} 个标注文件未读取，其图片另有优先的标注：{names}", "{count} 個標註檔未讀取，其圖片另有優先的標註：{names}"],
  ["{count} more caption files are shared by several pictures", "另有 {count} 个标注文件被多张图片共用", "另有 {count} 個標註檔被多張圖片共用"],
  ["{pictures} share {file}", "{pictures} 共用 {file}", "{pictures} 共用 {file}"],
  ["{name} is not read: {phrase}", "{name} 未读取：{phrase}", "{name} 未讀取：{phrase}"],
  ["{name}: only its first {count} lines are read", "{name}：只读取前 {count} 行", "{name}：只讀取前 {count} 行"],
  ["{name}: {count} line is not used: {names}", "{name}：{count} 行未使用：{names}", "{name}：{count} 行未使用：{names}"],
  ["{name}: {count} lines are not used: {names}", "{name}：{count} 行未使用：{names}", "{name}：{count} 行未使用：{names}"],
  ["{name}: {count} entry leads out of the folder: {names}", "{name}：{count} 条指向文件夹之外：{names}", "{name}：{count} 筆指向資料夾之外：{names}"],
  ["{name}: {count} entries lead out of the folder: {names}", "{name}：{count} 条指向文件夹之外：{names}", "{name}：{count} 筆指向資料夾之外：{names}"],
  ["{name}: {count} entry names no picture: {names}", "{name}：{count} 条没有对应的图片：{names}", "{name}：{count} 筆沒有對應的圖片：{names}"],
  ["{name}: {count} entries name no picture: {names}", "{name}：{count} 条没有对应的图片：{names}", "{name}：{count} 筆沒有對應的圖片：{names}"],
  ["{name}: {count} picture has a second entry, not used: {names}", "{name}：{count} 张图片有第二条，未使用：{names}", "{name}：{count} 張圖片有第二筆，未使用：{names}"],
  ["{name}: {count} pictures have a second entry, not used: {names}", "{name}：{count} 张图片有第二条，未使用：{names}", "{name}：{count} 張圖片有第二筆，未使用：{names}"],
  ["{name}: read as {codec}, not UTF-8; save it as UTF-8", "{name}：按 {codec} 读取，不是 UTF-8，请另存为 UTF-8", "{name}：以 {codec} 讀取，不是 UTF-8，請另存為 UTF-8"],

  // What is said beside one picture of a finding
  ["no caption", "没有标注", "沒有標註"],
  ["empty caption", "标注为空", "標註為空"],
  ["at least {count} tokens", "至少 {count} 个 token", "至少 {count} 個 token"],
  ["{count} tokens", "{count} 个 token", "{count} 個 token"],
  ["<lora:…> in caption", "标注里有 <lora:…>", "標註裡有 <lora:…>"],
  ["caption as another's", "标注与别的图片相同", "標註與別的圖片相同"],
  ["not English", "不是英文", "不是英文"],
  ["several captions", "多条标注", "多條標註"],
  ["{share} of the subject cut", "主体被裁掉 {share}", "主體被裁掉 {share}"],
  ["upscaled x{factor}", "放大 {factor} 倍", "放大 {factor} 倍"],
  ["{share} cut off", "裁掉 {share}", "裁掉 {share}"],
  ["trained at {width} x {height}", "以 {width} x {height} 训练", "以 {width} x {height} 訓練"],
  ["same file as {count} others", "与另外 {count} 个文件相同", "與另外 {count} 個檔案相同"],
  ["same file as {name}", "与 {name} 相同", "與 {name} 相同"],
  ["near copy of {count} others", "与另外 {count} 张几乎相同", "與另外 {count} 張幾乎相同"],
  ["near copy of {name}", "与 {name} 几乎相同", "與 {name} 幾乎相同"],
  ["mirror image of {count} others", "另外 {count} 张的镜像", "另外 {count} 張的鏡像"],
  ["mirror image of {name}", "{name} 的镜像", "{name} 的鏡像"],
  ["much like {count} others", "与另外 {count} 张很像", "與另外 {count} 張很像"],
  ["much like {name}", "与 {name} 很像", "與 {name} 很像"],
  ["in both sets", "同时在两类图片中", "同時在兩類圖片中"],
  ["no '{word}'", "没有“{word}”", "沒有「{word}」"],
  ["says the trigger word", "有触发词", "有觸發詞"],
  ["other tag style", "标签写法不同", "標籤寫法不同"],
  ["same shot", "同一个镜头", "同一個鏡頭"],
  ["soft", "偏软", "偏軟"],
  ["blurred", "模糊", "模糊"],
  ["dark", "偏暗", "偏暗"],
  ["bright", "偏亮", "偏亮"],
  ["all black", "全黑", "全黑"],
  ["all white", "全白", "全白"],
  ["one flat colour", "只有一种颜色", "只有一種顏色"],
  ["bar of {share}", "边框占 {share}", "邊框占 {share}"],
  ["no colour", "没有颜色", "沒有顏色"],
  ["transparent, on {colour}", "透明，底色 {colour}", "透明，底色 {colour}"],
  ["repaired", "已修复", "已修復"],

  // What a run has to say
  ["{phrase}; {free} GB are free, so memory may run out", "{phrase}；可用 {free} GB，显存可能不足", "{phrase}；可用 {free} GB，顯示記憶體可能不足"],
  ["{phrase}; {free} GB are free", "{phrase}；可用 {free} GB", "{phrase}；可用 {free} GB"],
  ["a step needs about {total} GB of memory (base model {base}, LoRA and optimizer {lora}, activations and gradients {step}, overhead {rest})", "每步约需 {total} GB 显存（底模 {base}，LoRA 与优化器 {lora}，激活与梯度 {step}，其他 {rest}）", "每步約需 {total} GB 顯示記憶體（底模 {base}，LoRA 與優化器 {lora}，激活與梯度 {step}，其他 {rest}）"],
  ["encoding the largest picture needs about {whole} GB of memory, {free} GB are free, so pictures are encoded in tiles ({tiled} GB)", "编码最大的图片约需 {whole} GB 显存，可用 {free} GB，因此分块编码（{tiled} GB）", "編碼最大的圖片約需 {whole} GB 顯示記憶體，可用 {free} GB，因此分塊編碼（{tiled} GB）"],
  ["encoding the largest picture needs about {whole} GB of memory, {free} GB are free, so memory may run out", "编码最大的图片约需 {whole} GB 显存，可用 {free} GB，显存可能不足", "編碼最大的圖片約需 {whole} GB 顯示記憶體，可用 {free} GB，顯示記憶體可能不足"],
  ["encoding the largest picture needs about {whole} GB of memory, {free} GB are free", "编码最大的图片约需 {whole} GB 显存，可用 {free} GB", "編碼最大的圖片約需 {whole} GB 顯示記憶體，可用 {free} GB"],
  ["{count} of {all} pictures are held out and only measured", "{all} 张图片中留出 {count} 张，只用于测量", "{all} 張圖片中留出 {count} 張，只用於測量"],
  ["held-out loss is not measured: it is switched off", "未测量留出损失：已关闭", "未測量留出損失：已關閉"],
  ["held-out loss is not measured: that takes {count} pictures or more", "未测量留出损失：需要至少 {count} 张图片", "未測量留出損失：需要至少 {count} 張圖片"],
  ["held-out loss is not measured: nearly all pictures are copies of each other", "未测量留出损失：几乎所有图片都是彼此的副本", "未測量留出損失：幾乎所有圖片都是彼此的副本"],
  ["Sample {number} after epoch {epoch} is missing: not enough GPU memory. Make the samples smaller, or train without them.", "第 {epoch} 轮后的第 {number} 张样图未生成：显存不足。请缩小样图，或不生成样图。", "第 {epoch} 輪後的第 {number} 張樣圖未產生：顯示記憶體不足。請縮小樣圖，或不產生樣圖。"],
  ["Sample {number} after epoch {epoch} is missing: {phrase}", "第 {epoch} 轮后的第 {number} 张样图未生成：{phrase}", "第 {epoch} 輪後的第 {number} 張樣圖未產生：{phrase}"],
  ["{free} GB are free: {list}", "可用 {free} GB：{list}", "可用 {free} GB：{list}"],
  ["as the run began: {list}", "与训练开始时相同：{list}", "與訓練開始時相同：{list}"],
  ["no checkpointing", "不用梯度检查点", "不用梯度檢查點"],
  ["checkpointing", "梯度检查点", "梯度檢查點"],
  ["checkpointing every {count} blocks", "每 {count} 个块一个梯度检查点", "每 {count} 個區塊一個梯度檢查點"],
  ["batch {size} in {parts} parts", "批次 {size} 分 {parts} 份", "批次 {size} 分 {parts} 份"],
  ["batch {size}", "批次 {size}", "批次 {size}"],
  ["blocks offloaded to the CPU", "块卸载到内存", "區塊卸載到記憶體"],
  ["base model in {format}", "底模用 {format}", "底模用 {format}"],
  ["pictures encoded in tiles", "图片分块编码", "圖片分塊編碼"],
  ["The LoRA to start from: {phrase}; {phrase2}.", "起始 LoRA：{phrase}；{phrase2}。", "起始 LoRA：{phrase}；{phrase2}。"],
  ["The LoRA to start from: {phrase}.", "起始 LoRA：{phrase}。", "起始 LoRA：{phrase}。"],
  ["it has nothing for 1 adapter, which start anew", "有 1 个适配层在其中没有内容，从头开始", "有 1 個適配層在其中沒有內容，從頭開始"],
  ["it has nothing for {count} adapters, which start anew", "有 {count} 个适配层在其中没有内容，从头开始", "有 {count} 個適配層在其中沒有內容，從頭開始"],
  ["1 module of it are not trained by this plan and are left out", "其中 1 个模块不在此次训练之内，已忽略", "其中 1 個模組不在此次訓練之內，已忽略"],
  ["{count} modules of it are not trained by this plan and are left out", "其中 {count} 个模块不在此次训练之内，已忽略", "其中 {count} 個模組不在此次訓練之內，已忽略"],
  ["measuring takes about {share}% as long as training, as epochs are of few steps. Set validate_every_epochs to {every}, or raise the repeats.", "每轮步数很少，测量所花的时间约为训练的 {share}%。请把“每几轮验证”设为 {every}，或提高重复次数。", "每輪步數很少，測量所花的時間約為訓練的 {share}%。請把「每幾輪驗證」設為 {every}，或提高重複次數。"],
  ["measuring takes about {share}% as long as training, as epochs are of few steps. Raise the repeats.", "每轮步数很少，测量所花的时间约为训练的 {share}%。请提高重复次数。", "每輪步數很少，測量所花的時間約為訓練的 {share}%。請提高重複次數。"],
  ["memory ran out while the LoRA was measured; the run goes on without that", "测量 LoRA 时显存不足，训练跳过测量继续进行", "測量 LoRA 時顯示記憶體不足，訓練略過測量繼續進行"],
  ["the base model is in {base}, as this run began. Delete the run to train on the whole one.", "底模用的是 {base}，与这次训练开始时一样。要用完整的底模训练，请删除这次训练。", "底模用的是 {base}，與這次訓練開始時一樣。要用完整的底模訓練，請刪除這次訓練。"],
  ["the two-prompt test could not be drawn: {phrase}", "双提示词测试未能绘制：{phrase}", "雙提示詞測試未能繪製：{phrase}"],
  ["memory ran out, so the CUDA graphs are given up: the same result, slower", "显存不足，已停用 CUDA 图：结果相同，但较慢", "顯示記憶體不足，已停用 CUDA 圖：結果相同，但較慢"],
  ["memory ran out, so gradient checkpointing is on: the same result, about a third slower", "显存不足，已打开梯度检查点：结果相同，约慢三分之一", "顯示記憶體不足，已開啟梯度檢查點：結果相同，約慢三分之一"],
  ["Prodigy finds the rate by itself, and {rate} scales what it finds. Set the rates to 1.", "Prodigy 会自己寻找学习率，{rate} 会缩放它找到的值。请把学习率设为 1。", "Prodigy 會自己尋找學習率，{rate} 會縮放它找到的值。請把學習率設為 1。"],
  ["a rate of {rate} is high for {optimizer}. Up to {usual} is usual.", "学习率 {rate} 对 {optimizer} 偏高，通常不超过 {usual}。", "學習率 {rate} 對 {optimizer} 偏高，通常不超過 {usual}。"],
  ["AdamWScheduleFree averages the weights instead of lowering the rate; {schedule} does both. Set the schedule to constant.", "AdamWScheduleFree 用平均权重代替降低学习率，{schedule} 会两者都做。请把学习率调度设为 constant。", "AdamWScheduleFree 用平均權重代替降低學習率，{schedule} 會兩者都做。請把學習率排程設為 constant。"],
  ["the warm-up of {warmup} steps is no shorter than the run of {steps}, so the rates never get to their full value. Set it to {advised}.", "预热 {warmup} 步不短于总共 {steps} 步，学习率永远达不到设定值。请设为 {advised}。", "預熱 {warmup} 步不短於總共 {steps} 步，學習率永遠達不到設定值。請設為 {advised}。"],
  ["cosine_with_restarts with 1 cycle never restarts. Set the cycles to 3, or choose cosine.", "cosine_with_restarts 重启次数为 1 就不会重启。请把重启次数设为 3，或选择 cosine。", "cosine_with_restarts 重啟次數為 1 就不會重啟。請把重啟次數設為 3，或選擇 cosine。"],
  ["{count} cycles leave less than 2 steps for each. Lower the cycles, or train for longer.", "重启 {count} 次，每段不到 2 步。请减少重启次数，或训练更久。", "重啟 {count} 次，每段不到 2 步。請減少重啟次數，或訓練更久。"],
  ["the floor has no effect with the schedule constant. Choose one that falls, or set the floor to 0.", "学习率调度为 constant 时最低学习率比例不起作用。请选择会下降的调度，或把最低学习率比例设为 0。", "學習率排程為 constant 時最低學習率比例不起作用。請選擇會下降的排程，或把最低學習率比例設為 0。"],
  ["epochs {epochs} has no effect: steps {steps} says how long the run is. Set steps to 0, or leave it.", "训练轮数 {epochs} 不起作用：训练多长由总步数 {steps} 决定。请把总步数设为 0，或不必理会。", "訓練輪數 {epochs} 不起作用：訓練多長由總步數 {steps} 決定。請把總步數設為 0，或不必理會。"],
  ["{field} has no effect with the schedule {schedule}. Choose {needed}, or leave it as it was.", "学习率调度为 {schedule} 时 {field} 不起作用。请选择 {needed}，或保持默认。", "學習率排程為 {schedule} 時 {field} 不起作用。請選擇 {needed}，或保持預設。"],
  ["{field} has no effect with {optimizer}. Choose Prodigy, or leave it as it was.", "{optimizer} 下 {field} 不起作用。请选择 Prodigy，或保持默认。", "{optimizer} 下 {field} 不起作用。請選擇 Prodigy，或保持預設。"],
];

const ROWS = [...DATA_ERRORS, ...TRAINING_ERRORS, ...MODEL_ERRORS, ...NODE_LINES, ...PHRASES, ...RULES, ...PRESET_REASONS];

/** A phrase or an error of the server in the language of a locale; English where the language does not have it.
 * @param {string} text @param {string} locale @returns {string} */
export function phrase(text, locale) {
  const { language } = choose(locale);
  if (language !== "zh" && language !== "zh-TW") return text;
  return bySentences(text, language) ?? whole(text, language) ?? text;
}

/** @param {string} text @param {"zh" | "zh-TW"} language @returns {string | undefined} */
function whole(text, language) {
  return translated(ROWS, text, language, (name, found) => {
    if (name.startsWith("phrase")) return phrase(found, language);
    if (name === "list") return found.split(", ").map((one) => phrase(one, language)).join("，");
    return name === "names" ? found.replace(/ and ([\d,]+) more$/, MORE[language]) : found;
  });
}

/** An error says what happened, then what to change: each in a row of its own, for many share one. A row that holds
 * both is tried last, for its places would take in a second sentence.
 * @param {string} text @param {"zh" | "zh-TW"} language @returns {string | undefined} */
function bySentences(text, language) {
  const sentences = sentencesOf(text);
  if (sentences.length === 1) return undefined;
  const told = sentences.map((one) => whole(one, language) ?? asSentence(one, language));
  return told.every((one) => one !== undefined) ? told.join("") : undefined;
}

/** A phrase with a full stop behind it.
 * @param {string} text @param {"zh" | "zh-TW"} language @returns {string | undefined} */
function asSentence(text, language) {
  const found = text.endsWith(".") ? whole(text.slice(0, -1), language) : undefined;
  return found && `${found}。`;
}
