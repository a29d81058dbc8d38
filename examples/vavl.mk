# Tables 1 and 2 and figure 2 of VAVL (Goncalves et al. 2023): one model of sound, faces or both, its ablations, and
# the models that it is compared with.
#
#   make -f examples/vavl.mk -j 2                   on synthetic talking faces
#
# On your own corpora, with the paper's sizes; a corpus is a manifest with speakers, a labelled store, and features of
# its sound and of its faces (`extract`, `import-features`; examples/attributes.mk makes the paper's acoustic ones):
#
#   make -f examples/vavl.mk PAPER=1 CORPORA="cremad improv" \
#       MANIFEST_cremad=cremad.jsonl MEDIA_cremad=cremad.h5 AUDIO_cremad=cremad-w2v.h5 VIDEO_cremad=cremad-b2.h5 \
#       MANIFEST_improv=improv.jsonl MEDIA_improv=improv.h5 AUDIO_improv=improv-w2v.h5 VIDEO_improv=improv-b2.h5 \
#       ATTRIBUTES_improv="arousal valence dominance" BATCH_improv="--batch-utterances 16"
#
# Each corpus is divided by speaker PARTITIONS times, 70/15/15. A model learns from TRAIN_AUDIO_x and TRAIN_VIDEO_x
# (default: AUDIO_x and VIDEO_x), which may lack utterances: of the synthetic people half of the sound and half of the
# faces were taken away at random. All test utterances have both; the columns av, audio and video predict from both, or
# from one alone. `compare` tests each row against vavl (two-tailed, paired by partition). Every step writes a file; a
# second run makes only the files that are missing.

OUT ?= vavl
O := $(OUT)/
PARTITIONS ?= 0 1 2 3 4
CORPORA ?= people
comma := ,

ifdef PAPER
TRAIN ?= --epochs 20
BATCH ?= --batch-utterances 32 --batch-seconds 600
else
# Small models on minutes of video need higher rates.
TRAIN ?= --epochs 20 --head-learning-rate 2e-3
BATCH ?= --batch-utterances 16
small = $(addprefix --head-option ,$(1))
CONFORMERS := projection=16 units=32 attention_heads=4 kernel=15
SIZE_vavl ?= --hidden 32 $(call small,$(CONFORMERS) audio_layers=1 video_layers=1 shared_layers=1)
SIZE_unimodal ?= --hidden 32 $(call small,$(CONFORMERS) layers=2)
SIZE_uavm ?= $(call small,width=32 heads=4 layers=1 shared_layers=1)
SIZE_auxformer ?= $(call small,width=32 heads=4 layers=1)
SIZE_mult ?= $(call small,width=32 heads=4 layers=1)
endif

BASELINES ?= vavl uavm auxformer mult
ABLATIONS ?= no-residual no-reconstruction no-av-head
# Row -> head and options; the rows that have a column.
HEAD_no-residual := vavl $(SIZE_vavl) --without residual
HEAD_no-reconstruction := vavl $(SIZE_vavl) --without reconstruction
HEAD_no-av-head := vavl $(SIZE_vavl) --without av-head
HEAD_acoustic := unimodal $(SIZE_unimodal)
HEAD_visual := unimodal $(SIZE_unimodal)
head = $(or $(HEAD_$(1)),$(1) $(SIZE_$(1)))
TABLE1_av := $(BASELINES)
# MulT has no prediction of its own from one stream.
TABLE1_audio := $(filter-out mult,$(BASELINES)) acoustic
TABLE1_video := $(filter-out mult,$(BASELINES)) visual
TABLE2 := vavl $(ABLATIONS)
COLUMNS := av audio video

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: tables table1 table2 figure2 control
tables: table1 table2 figure2 $(if $(filter people,$(CORPORA)),control)
ifneq ($(filter tables,$(or $(MAKECMDGOALS),tables)),)
# Printed one after the other by `make -j` too.
table2: | table1
figure2: | table2
control: | figure2
endif
$(shell mkdir -p $(OUT))

manifest = $(or $(MANIFEST_$(1)),$(O)$(1).jsonl)
media = $(or $(MEDIA_$(1)),$(O)$(1).h5)
audio = $(or $(AUDIO_$(1)),$(O)$(1)-audio.h5)
video = $(or $(VIDEO_$(1)),$(O)$(1)-video.h5)
train_audio = $(or $(TRAIN_AUDIO_$(1)),$(call audio,$(1)))
train_video = $(or $(TRAIN_VIDEO_$(1)),$(call video,$(1)))
labels = $(addprefix --label ,$(or $(ATTRIBUTES_$(1)),emotion))
TRAIN_AUDIO_people := $(O)heard-audio.h5
TRAIN_VIDEO_people := $(O)seen-video.h5
# The same people, with the encoder of faces at random initialisation.
CONTROL := untrained
MANIFEST_untrained := $(O)people.jsonl
MEDIA_untrained := $(O)people.h5
AUDIO_untrained := $(O)people-audio.h5
TRAIN_AUDIO_untrained := $(TRAIN_AUDIO_people)
TRAIN_VIDEO_untrained := $(O)seen-untrained.h5
VIDEO_untrained := $(O)people-untrained.h5

# What is compared: predictions of classes, or scores of attributes.
scored = $(if $(ATTRIBUTES_$(1)),json,jsonl)
scores = $(if $(ATTRIBUTES_$(1)),$(ATTRIBUTES_$(1):%=--score %.ccc),--score f1_macro --score accuracy)

# Streams that a row reads, in training (1: corpus) and in prediction.
STREAMS_acoustic := audio
STREAMS_visual := video
streams = $(or $(STREAMS_$(1)),audio video)
# $(1) corpus, $(2) row, $(3) train_ or nothing
stores = $(foreach s,$(call streams,$(2)),$(call $(3)$(s),$(1)))
features = $(foreach s,$(call streams,$(2)),--features $(s)=$(call $(3)$(s),$(1)))

# -- models ----------------------------------------------------------------------------------------

# $(1) corpus, $(2) row, $(3) partition
define model
$(O)$(1)-$(2)-$(3).safetensors: $(call media,$(1)) $(call stores,$(1),$(2),train_) $(O)$(1)-$(3)-division.jsonl
	avaffect finetune $(call media,$(1)) --annotations $(O)$(1)-$(3)-division.jsonl \
		$(call features,$(1),$(2),train_) --head $(call head,$(2)) $(call labels,$(1)) \
		$(or $(BATCH_$(1)),$(BATCH)) $(TRAIN) --seed $(3) -o $$@
endef

# $(4) column
define column
$(O)$(1)-$(2)-$(3)-$(4).jsonl: $(O)$(1)-$(2)-$(3).safetensors $(call stores,$(1),$(2))
	avaffect predict $(call media,$(1)) --annotations $(O)$(1)-$(3)-division.jsonl --split test --model $$< \
		$(call features,$(1),$(2)) $(OPTIONS_$(2)-$(4)) -o $$@
$(O)$(1)-$(2)-$(3)-$(4).json: $(O)$(1)-$(2)-$(3)-$(4).jsonl
	avaffect eval-ccc $$< -o $$@
endef

define partition
$(O)$(1)-$(2)-division.jsonl: $(call manifest,$(1))
	avaffect split $$< --by speaker --ratios 70 15 15 --replace --seed $(2) -o $$@
endef

# The rows of two streams are asked for one of them by --modality, and for figure 2 in the column av.
$(foreach r,$(BASELINES) $(ABLATIONS),\
	$(eval OPTIONS_$(r)-av := --shared-distance)\
	$(eval OPTIONS_$(r)-audio := --modality audio)\
	$(eval OPTIONS_$(r)-video := --modality video))
$(foreach c,$(CORPORA) $(CONTROL),$(foreach n,$(PARTITIONS),\
	$(eval $(call partition,$(c),$(n)))\
	$(foreach r,$(BASELINES) $(ABLATIONS) acoustic visual,\
	$(eval $(call model,$(c),$(r),$(n)))\
	$(foreach k,$(COLUMNS),$(eval $(call column,$(c),$(r),$(n),$(k)))))))

# -- tables ----------------------------------------------------------------------------------------

# $(1) corpus, $(2) rows, $(3) column
results = $(foreach r,$(2),$(foreach n,$(PARTITIONS),$(O)$(1)-$(r)-$(n)-$(3).$(call scored,$(1))))
named = $(foreach r,$(2),$(foreach n,$(PARTITIONS),$(r)=$(O)$(1)-$(r)-$(n)-$(3).$(call scored,$(1))))
# $(1) title, $(2) corpus, $(3) rows, $(4) column
define table
@echo; echo "$(1): $(2), $(4) ($(words $(PARTITIONS)) partitions)"
@avaffect compare -q $(call scores,$(2)) --baseline vavl $(call named,$(2),$(3),$(4))

endef

table1: $(foreach c,$(CORPORA),$(foreach k,$(COLUMNS),$(call results,$(c),$(TABLE1_$(k)),$(k))))
	$(foreach c,$(CORPORA),$(foreach k,$(COLUMNS),$(call table,Table 1,$(c),$(TABLE1_$(k)),$(k))))

table2: $(foreach c,$(CORPORA),$(foreach k,$(COLUMNS),$(call results,$(c),$(TABLE2),$(k))))
	$(foreach c,$(CORPORA),$(foreach k,$(COLUMNS),$(call table,Table 2,$(c),$(TABLE2),$(k))))

# Means over the test utterances of a partition, their mean and deviation over partitions; a bar for each model.
define distance
@echo; echo "Figure 2: $(1), cosine distance of the shared embeddings of sound and faces"
@avaffect compare -q --score shared_distance --baseline vavl --plot $(O)$(1)-figure2.png -f \
	$(foreach r,$(BASELINES),$(foreach n,$(PARTITIONS),$(r)=$(O)$(1)-$(r)-$(n)-av.jsonl))

endef

figure2: $(foreach c,$(CORPORA),$(foreach r,$(BASELINES),$(PARTITIONS:%=$(O)$(c)-$(r)-%-av.jsonl)))
	$(foreach c,$(CORPORA),$(call distance,$(c)))

# $(1) column
define controlled
@echo; echo "Control: vavl with the encoder of faces at random initialisation, $(1)"
@avaffect compare -q $(call scores,people) --baseline vavl $(call named,people,vavl,$(1)) \
	$(patsubst vavl=%,untrained=%,$(call named,$(CONTROL),vavl,$(1)))

endef

control: $(foreach c,people $(CONTROL),$(foreach k,$(COLUMNS),$(call results,$(c),vavl,$(k))))
	$(foreach k,$(COLUMNS),$(call controlled,$(k)))

# -- synthetic people ------------------------------------------------------------------------------

LENGTHS := --shortest 1.2 --longest 1.8
UTTERANCES ?= 320
PEOPLE ?= 160
HALF ?= 160
CORPUS ?= 1

$(O)people.jsonl:
	avaffect synth $(O)people --utterances $(UTTERANCES) --speakers $(PEOPLE) $(LENGTHS) --seed $(CORPUS) -o $@

# Each recording keeps its sound, its faces, both or neither.
$(O)heard.jsonl: $(O)people.jsonl
	avaffect select $< --sample $(HALF) --seed 1 -o $@

$(O)seen.jsonl: $(O)people.jsonl
	avaffect select $< --sample $(HALF) --seed 2 -o $@

# The encoder of faces learns emotions from other people, as the paper's EfficientNet from AffectNet: from many, each
# seen for less than a second, as it learns fewer by heart.
OTHERS ?= 960
OTHER_PEOPLE ?= 480
$(O)others-all.jsonl:
	avaffect synth $(O)others --name others --utterances $(OTHERS) --speakers $(OTHER_PEOPLE) \
		--shortest 0.4 --longest 0.5 -o $@

$(O)others.jsonl: $(O)others-all.jsonl
	avaffect split $< --by speaker --ratios 80 20 0 -o $@

$(O)people.h5 $(O)seen.h5 $(O)others.h5: $(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< --size 48 -o $@

# Its sound alone is read.
$(O)heard.h5: $(O)heard.jsonl
	avaffect preprocess $< --faces none --size 48 -o $@

FACES ?= --epochs 16 --learning-rate 1e-3 --head-learning-rate 2e-3 --crop-seconds 0.3 \
	--batch-utterances 64
$(O)random.safetensors: $(O)others.h5
	avaffect pretrain-byol $< --preset nano --steps 0 -o $@

$(O)expressions.safetensors: $(O)random.safetensors $(O)others.h5
	avaffect finetune $(O)others.h5 --encoder $< --modality video --label emotion $(FACES) -o $@

$(O)faces.safetensors: $(O)expressions.safetensors
	avaffect merge-lora $< -o $@

$(O)people-audio.h5 $(O)heard-audio.h5: $(O)%-audio.h5: $(O)%.h5
	avaffect extract $< --model mfcc -o $@

$(O)people-untrained.h5 $(O)seen-untrained.h5: $(O)%-untrained.h5: $(O)%.h5 $(O)random.safetensors
	avaffect extract $< --model $(O)random.safetensors --modality video -o $@

$(O)people-video.h5 $(O)seen-video.h5: $(O)%-video.h5: $(O)%.h5 $(O)faces.safetensors
	avaffect extract $< --model $(O)faces.safetensors --modality video -o $@
