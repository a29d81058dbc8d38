#!/bin/bash
# The whole chain of SAAML as Slurm jobs: prints the plan and submits it. README.md in this folder explains it.
#
#   examples/slurm/submit.sh --dry-run         print the plan alone
#   examples/slurm/submit.sh                   submit it
#   OUT=/scratch/saaml RANKS=4 GPUS=1 SLURM='--partition=gpu --account=lab' examples/slurm/submit.sh
#
# Settings are the variables below; those of the environment override them.
set -euo pipefail

# -- corpora: A labelled, B the pool without labels, U for emotion recognition; manifests, or empty: synthetic people
A=${A:-}
B=${B:-}
U=${U:-}
UTTERANCES=${UTTERANCES:-256}           # of each synthetic corpus
SPEAKERS=${SPEAKERS:-16}
LABEL=${LABEL:-emotion}
OUT=${OUT:-saaml-slurm}                 # on a file system that all nodes share
# -- the cluster
SLURM=${SLURM:-}                        # options of every job: '--partition=gpu --account=lab --time=24:00:00'
SHARDS=${SHARDS:-8}                     # tasks of each job array
AT_ONCE=${AT_ONCE:-$SHARDS}             # array tasks that run side by side, at most
CPUS=${CPUS:-1}                         # of each process
RANKS=${RANKS:-2}                       # processes of pre-training and adaptation
GPUS=${GPUS:-0}                         # of each process that runs a model: 0 or 1
# -- models: commands' options
AVAFFECT=${AVAFFECT:-avaffect}
SEED=${SEED:-0}
PREPROCESS=${PREPROCESS---size 48}
CLUSTER=${CLUSTER---features logmel -k 50 --initialisations 1}
PRETRAIN=${PRETRAIN---modality av --preset nano --crop-seconds 0.32 --batch-utterances 64 --modality-dropout 0.75 \
    --learning-rate 1e-3 --steps 600 --mask-length 3 --mask-probability 0.5 --unmasked-weight 1 --features-penalty 0}
# With --train-encoder, or --statistics source, embeddings are extracted in shards.
PROJECTOR=${PROJECTOR---train-encoder --encoder-learning-rate 1e-3 --base 0.5 --epsilon 0.1 --cross-entropy 2 \
    --crop-seconds 0.6 --steps 250 --batch-utterances 32}
RETRIEVE=${RETRIEVE--T 0.005}
ADAPT=${ADAPT---crop-seconds 0.2 --batch-utterances 96 --modality-dropout 0.75 --learning-rate 1e-3 --steps 250 \
    --domain-weight 0.1 --pretraining-weight 0.1}
CLASSIFY=${CLASSIFY---mode frozen --head svm --head-option kernel=linear}
FOLDS=${FOLDS:-8}

dry_run=
case ${1:-} in
    '') ;;
    -n | --dry-run) dry_run=yes ;;
    -h | --help) sed -n '2,/^set/s/^#\( \|$\)//p' "$0"; exit ;;
    *) echo "submit.sh: $1: unknown option; --dry-run or --help" >&2; exit 2 ;;
esac

# -- what cannot be --------------------------------------------------------------------------------
refuse() {
    echo "submit.sh: $2" >&2
    exit "$1"
}
for name in UTTERANCES SPEAKERS SHARDS AT_ONCE CPUS RANKS FOLDS; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] || refuse 2 "$name=${!name}: expected a whole number, 1 or more"
done
[[ $GPUS = [01] ]] || refuse 2 "GPUS=$GPUS: expected 0 or 1"
for name in OUT A B U; do
    [[ ${!name} != *[%\\]* ]] || refuse 2 "$name=${!name}: jobs replace % and \\ in names; choose another name"
done

LOGS=$OUT/logs
if [ -z "$dry_run" ]; then
    command -v sbatch >/dev/null ||
        refuse 1 'sbatch is not on the path; --dry-run prints the plan without Slurm'
    command -v "${AVAFFECT%% *}" >/dev/null ||
        refuse 1 "${AVAFFECT%% *} is not on the path: activate its environment, or set AVAFFECT"
    for name in A B U; do
        [ -z "${!name}" ] || [ -f "${!name}" ] || refuse 1 "$name=${!name}: there is no such manifest"
    done
    if [ -s "$LOGS/jobs" ]; then
        queued=$(squeue --noheader --user="$(id -un)" --format=%F | grep -Fxf "$LOGS/jobs" | sort -u | wc -l) || true
        [ "$queued" = 0 ] || refuse 1 "$queued jobs of an earlier submission to $OUT are queued or run: \
let them end, or cancel them with xargs scancel < $LOGS/jobs"
    fi
    mkdir -p "$LOGS" "$OUT/shards"
fi

# Commands are wrapped to the terminal; in a file, a line each.
WIDTH=100000
[ ! -t 1 ] || WIDTH=$(tput cols 2>/dev/null || echo 100)
STEP=$(dirname "$(readlink -f "$0")")/step.sbatch

# A chain of which Slurm refused a job would never end.
declare -A job=()
cancel_all() {
    [ -z "${job[*]}" ] || scancel "${job[@]}"
    echo "submit.sh: not all jobs could be submitted; those that were are cancelled" >&2
}

# -- one job ---------------------------------------------------------------------------------------
# quoted WORD...: as a shell reads them
quoted() {
    local word words=()
    for word; do
        [[ $word =~ ^[A-Za-z0-9_./%=,:@+-]+$ ]] || word=${word@Q}
        words+=("$word")
    done
    echo "${words[*]}"
}

# step NAME KIND "JOBS TO WAIT FOR" COMMAND...
#   KIND: one      one process                        model    one process, with a GPU
#         array    an array of one-process jobs       models   such an array, each task with a GPU
#         ranks    RANKS processes of one training, each with a GPU
step() {
    local name=$1 kind=$2 after=$3 what=1 options dependency= each number
    shift 3
    options=(--job-name="$name" --cpus-per-task="$CPUS" --ntasks=1 --output="$LOGS/$name.log")
    case $kind in
        array | models)
            what="array of $SHARDS"
            options+=(--array="0-$((SHARDS - 1))%$AT_ONCE" --output="$LOGS/$name.%a.log") ;;
        ranks)
            what="$RANKS ranks"
            options+=(--ntasks="$RANKS") ;;
    esac
    case $kind in
        model | models | ranks) [ "$GPUS" = 0 ] || options+=(--gpus-per-task="$GPUS") ;;
    esac
    for each in $after; do
        dependency+=:${job[$each]}
    done
    [ -z "$dependency" ] || options+=(--dependency="afterok$dependency")
    if [ -z "$dry_run" ]; then
        # shellcheck disable=SC2086
        number=$(sbatch --parsable "${options[@]}" $SLURM "$STEP" $AVAFFECT "$@")
        job[$name]=${number%%;*}
    else
        job[$name]=-
    fi
    printf '%6s  %-26s %-12s %s\n' "${job[$name]}" "$name" "$what" "$after"
    echo "avaffect ${shown:-$(quoted "$@")}" | fold -s -w $((WIDTH - 8)) | sed 's/ $//; s/^/        /'
}

# sharded NAME KIND "JOBS TO WAIT FOR" OUTPUT COMMAND...: an array, and the merge of its shards as the job NAME
sharded() {
    local name=$1 kind=$2 after=$3 output=$4 stem suffix number shards=() shown=
    shift 4
    stem=$OUT/shards/$(basename "${output%.*}") suffix=${output##*.}
    step "$name-shards" "$kind" "$after" "$@" --shard slurm -o "$stem.%a.$suffix"
    for ((number = 0; number < SHARDS; number++)); do
        shards+=("$stem.$number.$suffix")
    done
    shown="merge $(quoted "$stem").{0..$((SHARDS - 1))}.$suffix -o $(quoted "$output")"
    step "$name" one "$name-shards" merge "${shards[@]}" -o "$output"
}

# -- the chain -------------------------------------------------------------------------------------
[ -n "$dry_run" ] || trap cancel_all EXIT
printf '%6s  %-26s %-12s %s\n' job name processes 'waits for'
declare -A manifest=([A]=$A [B]=$B [U]=$U)
for corpus in A B U; do
    after=
    if [ -z "${manifest[$corpus]}" ]; then
        manifest[$corpus]=$OUT/$corpus.jsonl
        after=synth-$corpus
        step "$after" one '' synth "$OUT/$corpus" --domain "$corpus" --seed "$SEED" --utterances "$UTTERANCES" \
            --speakers "$SPEAKERS" --shortest 1.2 --longest 1.8 --jobs "$CPUS" -o "$OUT/$corpus.jsonl"
    fi
    # shellcheck disable=SC2086
    sharded "media-$corpus" array "$after" "$OUT/$corpus.h5" \
        preprocess "${manifest[$corpus]}" $PREPROCESS --jobs "$CPUS"
done
# shellcheck disable=SC2086
{
step kmeans one 'media-A media-B' cluster "$OUT/A.h5" "$OUT/B.h5" $CLUSTER --seed "$SEED" -o "$OUT/kmeans.safetensors"
for corpus in A B; do
    sharded "units-$corpus" models kmeans "$OUT/$corpus-units.h5" \
        extract "$OUT/$corpus.h5" --model "$OUT/kmeans.safetensors"
done
step pretrain ranks 'units-A units-B' pretrain-hubert "$OUT/A.h5" "$OUT/B.h5" --units "$OUT/A-units.h5" \
    --units "$OUT/B-units.h5" $PRETRAIN --seed "$SEED" -o "$OUT/pretrained.safetensors"
step projector model pretrain train-projector "$OUT/A.h5" --encoder "$OUT/pretrained.safetensors" --label "$LABEL" \
    $PROJECTOR --seed "$SEED" -o "$OUT/projector.safetensors"
for corpus in A B; do
    sharded "embeddings-$corpus" models projector "$OUT/$corpus-embeddings.h5" \
        extract "$OUT/$corpus.h5" --model "$OUT/projector.safetensors"
done
step retrieve one 'embeddings-A embeddings-B' retrieve --query "$OUT/A-embeddings.h5" \
    --pool "$OUT/B-embeddings.h5" $RETRIEVE --seed "$SEED" -o "$OUT/retrieval.jsonl"
step adapt ranks retrieve adapt "$OUT/retrieval.jsonl" $ADAPT --seed "$SEED" -o "$OUT/adapted.safetensors"

step folds one "${job[synth-U]:+synth-U}" split "${manifest[U]}" --by speaker --folds "$FOLDS" --seed "$SEED" \
    -o "$OUT/U-folds.jsonl"
for encoder in pretrained adapted; do
    after=adapt
    [ "$encoder" = adapted ] || after=pretrain
    step "classify-$encoder" model "$after media-U folds" finetune "$OUT/U.h5" --encoder "$OUT/$encoder.safetensors" \
        --annotations "$OUT/U-folds.jsonl" --label "$LABEL" $CLASSIFY --seed "$SEED" -o "$OUT/$encoder-er.safetensors"
    sharded "predict-$encoder" models "classify-$encoder" "$OUT/$encoder.jsonl" \
        predict "$OUT/U.h5" --model "$OUT/$encoder-er.safetensors" --annotations "$OUT/U-folds.jsonl"
done
}
step scores one 'predict-pretrained predict-adapted' eval-class "$OUT/pretrained.jsonl" "$OUT/adapted.jsonl"
trap - EXIT

echo
if [ -n "$dry_run" ]; then
    echo "${#job[@]} jobs; nothing was submitted (--dry-run)"
else
    printf '%s\n' "${job[@]}" | sort -n > "$LOGS/jobs"
    echo "${#job[@]} jobs were submitted."
    echo "  logs     $(quoted "$LOGS/"); the scores will be in scores.log"
    echo "  state    squeue --me"
    echo "  failed   grep 'ended with status [^0]' $(quoted "$LOGS")/*.log"
    echo "  cancel   xargs scancel < $(quoted "$LOGS/jobs")"
fi
