"""The attributes that queries, worklists, storage commitment and performed procedure steps use (PS3.6).

Not the whole dictionary: other attributes are known by their tag alone, and their values stay bytes where the
encoding names no value representation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_TABLE = """\
00080005 CS SpecificCharacterSet
00080006 SQ LanguageCodeSequence
00080008 CS ImageType
00080012 DA InstanceCreationDate
00080013 TM InstanceCreationTime
00080014 UI InstanceCreatorUID
00080016 UI SOPClassUID
00080018 UI SOPInstanceUID
0008001A UI RelatedGeneralSOPClassUID
0008001B UI OriginalSpecializedSOPClassUID
00080020 DA StudyDate
00080021 DA SeriesDate
00080022 DA AcquisitionDate
00080023 DA ContentDate
0008002A DT AcquisitionDateTime
00080030 TM StudyTime
00080031 TM SeriesTime
00080032 TM AcquisitionTime
00080033 TM ContentTime
00080050 SH AccessionNumber
00080051 SQ IssuerOfAccessionNumberSequence
00080052 CS QueryRetrieveLevel
00080053 CS QueryRetrieveView
00080054 AE RetrieveAETitle
00080055 AE StationAETitle
00080056 CS InstanceAvailability
00080058 UI FailedSOPInstanceUIDList
00080060 CS Modality
00080061 CS ModalitiesInStudy
00080062 UI SOPClassesInStudy
00080063 SQ AnatomicRegionsInStudyCodeSequence
00080064 CS ConversionType
00080068 CS PresentationIntentType
00080070 LO Manufacturer
00080080 LO InstitutionName
00080081 ST InstitutionAddress
00080082 SQ InstitutionCodeSequence
00080090 PN ReferringPhysicianName
00080092 ST ReferringPhysicianAddress
00080094 SH ReferringPhysicianTelephoneNumbers
00080096 SQ ReferringPhysicianIdentificationSequence
0008009C PN ConsultingPhysicianName
00080100 SH CodeValue
00080102 SH CodingSchemeDesignator
00080103 SH CodingSchemeVersion
00080104 LO CodeMeaning
00080105 CS MappingResource
00080106 DT ContextGroupVersion
00080107 DT ContextGroupLocalVersion
0008010F CS ContextIdentifier
00080119 UC LongCodeValue
00080120 UR URNCodeValue
00080201 SH TimezoneOffsetFromUTC
00081010 SH StationName
00081030 LO StudyDescription
00081032 SQ ProcedureCodeSequence
0008103E LO SeriesDescription
0008103F SQ SeriesDescriptionCodeSequence
00081040 LO InstitutionalDepartmentName
00081048 PN PhysiciansOfRecord
00081050 PN PerformingPhysicianName
00081060 PN NameOfPhysiciansReadingStudy
00081070 PN OperatorsName
00081072 SQ OperatorIdentificationSequence
00081080 LO AdmittingDiagnosesDescription
00081084 SQ AdmittingDiagnosesCodeSequence
00081090 LO ManufacturerModelName
00081110 SQ ReferencedStudySequence
00081111 SQ ReferencedPerformedProcedureStepSequence
00081115 SQ ReferencedSeriesSequence
00081120 SQ ReferencedPatientSequence
00081125 SQ ReferencedVisitSequence
00081140 SQ ReferencedImageSequence
0008114A SQ ReferencedInstanceSequence
00081150 UI ReferencedSOPClassUID
00081155 UI ReferencedSOPInstanceUID
00081160 IS ReferencedFrameNumber
00081195 UI TransactionUID
00081197 US FailureReason
00081198 SQ FailedSOPSequence
00081199 SQ ReferencedSOPSequence
0008119A SQ OtherFailuresSequence
00081200 SQ StudiesContainingOtherReferencedInstancesSequence
00082111 ST DerivationDescription
00082112 SQ SourceImageSequence
00082132 LO EventTimerNames
00082218 SQ AnatomicRegionSequence
00082228 SQ PrimaryAnatomicStructureSequence
00083002 UI AvailableTransferSyntaxUID
00100010 PN PatientName
00100020 LO PatientID
00100021 LO IssuerOfPatientID
00100022 CS TypeOfPatientID
00100024 SQ IssuerOfPatientIDQualifiersSequence
00100026 SQ SourcePatientGroupIdentificationSequence
00100030 DA PatientBirthDate
00100032 TM PatientBirthTime
00100040 CS PatientSex
00100050 SQ PatientInsurancePlanCodeSequence
00100101 SQ PatientPrimaryLanguageCodeSequence
00101000 LO OtherPatientIDs
00101001 PN OtherPatientNames
00101002 SQ OtherPatientIDsSequence
00101005 PN PatientBirthName
00101010 AS PatientAge
00101020 DS PatientSize
00101030 DS PatientWeight
00101040 LO PatientAddress
00101060 PN PatientMotherBirthName
00101080 LO MilitaryRank
00101081 LO BranchOfService
00101090 LO MedicalRecordLocator
00102000 LO MedicalAlerts
00102110 LO Allergies
00102150 LO CountryOfResidence
00102152 LO RegionOfResidence
00102154 SH PatientTelephoneNumbers
00102160 SH EthnicGroup
00102180 SH Occupation
001021A0 CS SmokingStatus
001021B0 LT AdditionalPatientHistory
001021C0 US PregnancyStatus
001021D0 DA LastMenstrualDate
001021F0 LO PatientReligiousPreference
00102201 LO PatientSpeciesDescription
00102202 SQ PatientSpeciesCodeSequence
00102203 CS PatientSexNeutered
00102292 LO PatientBreedDescription
00102297 PN ResponsiblePerson
00102298 CS ResponsiblePersonRole
00102299 LO ResponsibleOrganization
00104000 LT PatientComments
00180010 LO ContrastBolusAgent
00180015 CS BodyPartExamined
00180060 DS KVP
00181000 LO DeviceSerialNumber
00181020 LO SoftwareVersions
00181030 LO ProtocolName
00181400 LO AcquisitionDeviceProcessingDescription
00185100 CS PatientPosition
00185101 CS ViewPosition
0020000D UI StudyInstanceUID
0020000E UI SeriesInstanceUID
00200010 SH StudyID
00200011 IS SeriesNumber
00200012 IS AcquisitionNumber
00200013 IS InstanceNumber
00200032 DS ImagePositionPatient
00200037 DS ImageOrientationPatient
00200052 UI FrameOfReferenceUID
00200060 CS Laterality
00200105 IS NumberOfTemporalPositions
00200200 UI SynchronizationFrameOfReferenceUID
00201002 IS ImagesInAcquisition
00201041 DS SliceLocation
00201070 IS OtherStudyNumbers
00201200 IS NumberOfPatientRelatedStudies
00201202 IS NumberOfPatientRelatedSeries
00201204 IS NumberOfPatientRelatedInstances
00201206 IS NumberOfStudyRelatedSeries
00201208 IS NumberOfStudyRelatedInstances
00201209 IS NumberOfSeriesRelatedInstances
00204000 LT ImageComments
00280002 US SamplesPerPixel
00280004 CS PhotometricInterpretation
00280008 IS NumberOfFrames
00280010 US Rows
00280011 US Columns
00280030 DS PixelSpacing
00280100 US BitsAllocated
00280101 US BitsStored
00280102 US HighBit
00280103 US PixelRepresentation
00280301 CS BurnedInAnnotation
00281050 DS WindowCenter
00281051 DS WindowWidth
00281052 DS RescaleIntercept
00281053 DS RescaleSlope
00282110 CS LossyImageCompression
00282112 DS LossyImageCompressionRatio
0032000A CS StudyStatusID
0032000C CS StudyPriorityID
00320012 LO StudyIDIssuer
00320032 DA StudyVerifiedDate
00320033 TM StudyVerifiedTime
00320034 DA StudyReadDate
00320035 TM StudyReadTime
00321000 DA ScheduledStudyStartDate
00321001 TM ScheduledStudyStartTime
00321020 LO ScheduledStudyLocation
00321030 LO ReasonForStudy
00321031 SQ RequestingPhysicianIdentificationSequence
00321032 PN RequestingPhysician
00321033 LO RequestingService
00321050 DA StudyCompletionDate
00321051 TM StudyCompletionTime
00321055 CS StudyComponentStatusID
00321060 LO RequestedProcedureDescription
00321064 SQ RequestedProcedureCodeSequence
00321070 LO RequestedContrastAgent
00324000 LT StudyComments
00380004 SQ ReferencedPatientAliasSequence
00380008 CS VisitStatusID
00380010 LO AdmissionID
00380014 SQ IssuerOfAdmissionIDSequence
00380016 LO RouteOfAdmissions
0038001A DA ScheduledAdmissionDate
0038001B TM ScheduledAdmissionTime
00380020 DA AdmittingDate
00380021 TM AdmittingTime
00380050 LO SpecialNeeds
00380060 LO ServiceEpisodeID
00380062 LO ServiceEpisodeDescription
00380300 LO CurrentPatientLocation
00380400 LO PatientInstitutionResidence
00380500 LO PatientState
00380502 SQ PatientClinicalTrialParticipationSequence
00384000 LT VisitComments
00400001 AE ScheduledStationAETitle
00400002 DA ScheduledProcedureStepStartDate
00400003 TM ScheduledProcedureStepStartTime
00400004 DA ScheduledProcedureStepEndDate
00400005 TM ScheduledProcedureStepEndTime
00400006 PN ScheduledPerformingPhysicianName
00400007 LO ScheduledProcedureStepDescription
00400008 SQ ScheduledProtocolCodeSequence
00400009 SH ScheduledProcedureStepID
0040000A SQ StageCodeSequence
0040000B SQ ScheduledPerformingPhysicianIdentificationSequence
00400010 SH ScheduledStationName
00400011 SH ScheduledProcedureStepLocation
00400012 LO PreMedication
00400020 CS ScheduledProcedureStepStatus
00400026 SQ OrderPlacerIdentifierSequence
00400027 SQ OrderFillerIdentifierSequence
00400031 UT LocalNamespaceEntityID
00400032 UT UniversalEntityID
00400033 CS UniversalEntityIDType
00400035 CS IdentifierTypeCode
00400036 SQ AssigningFacilitySequence
00400100 SQ ScheduledProcedureStepSequence
00400220 SQ ReferencedNonImageCompositeSOPInstanceSequence
00400241 AE PerformedStationAETitle
00400242 SH PerformedStationName
00400243 SH PerformedLocation
00400244 DA PerformedProcedureStepStartDate
00400245 TM PerformedProcedureStepStartTime
00400250 DA PerformedProcedureStepEndDate
00400251 TM PerformedProcedureStepEndTime
00400252 CS PerformedProcedureStepStatus
00400253 SH PerformedProcedureStepID
00400254 LO PerformedProcedureStepDescription
00400255 LO PerformedProcedureTypeDescription
00400260 SQ PerformedProtocolCodeSequence
00400270 SQ ScheduledStepAttributesSequence
00400275 SQ RequestAttributesSequence
00400280 ST CommentsOnThePerformedProcedureStep
00400281 SQ PerformedProcedureStepDiscontinuationReasonCodeSequence
00400293 SQ QuantitySequence
00400300 US TotalTimeOfFluoroscopy
00400301 US TotalNumberOfExposures
00400302 US EntranceDose
00400303 US ExposedArea
00400306 DS DistanceSourceToEntrance
00400310 ST CommentsOnRadiationDose
00400320 SQ BillingProcedureStepSequence
00400321 SQ FilmConsumptionSequence
00400324 SQ BillingSuppliesAndDevicesSequence
00400340 SQ PerformedSeriesSequence
00400400 LT CommentsOnTheScheduledProcedureStep
00400440 SQ ProtocolContextSequence
00400500 SQ ScheduledSpecimenSequence
0040050A LO SpecimenAccessionNumber
00400512 LO ContainerIdentifier
00400551 LO SpecimenIdentifier
00400554 UI SpecimenUID
004008EA SQ MeasurementUnitsCodeSequence
00401001 SH RequestedProcedureID
00401002 LO ReasonForTheRequestedProcedure
00401003 SH RequestedProcedurePriority
00401004 LO PatientTransportArrangements
00401005 LO RequestedProcedureLocation
00401008 LO ConfidentialityCode
00401009 SH ReportingPriority
0040100A SQ ReasonForRequestedProcedureCodeSequence
00401010 PN NamesOfIntendedRecipientsOfResults
00401011 SQ IntendedRecipientsOfResultsIdentificationSequence
00401101 SQ PersonIdentificationCodeSequence
00401102 ST PersonAddress
00401103 LO PersonTelephoneNumbers
00401400 LT RequestedProcedureComments
00402001 LO ReasonForTheImagingServiceRequest
00402004 DA IssueDateOfImagingServiceRequest
00402005 TM IssueTimeOfImagingServiceRequest
00402008 PN OrderEnteredBy
00402009 SH OrderEntererLocation
00402010 SH OrderCallbackPhoneNumber
00402016 LO PlacerOrderNumberImagingServiceRequest
00402017 LO FillerOrderNumberImagingServiceRequest
00402400 LT ImagingServiceRequestComments
00403001 LO ConfidentialityConstraintOnPatientDataDescription
00404022 SQ RelevantInformationSequence
0040A030 DT VerificationDateTime
0040A040 CS ValueType
0040A043 SQ ConceptNameCodeSequence
0040A075 PN VerifyingObserverName
0040A160 UT TextValue
0040A168 SQ ConceptCodeSequence
0040A491 CS CompletionFlag
0040A493 CS VerificationFlag
0040A730 SQ ContentSequence
00420010 ST DocumentTitle
00420012 LO MIMETypeOfEncapsulatedDocument
00700080 CS ContentLabel
00700081 LO ContentDescription
00700082 DA PresentationCreationDate
00700083 TM PresentationCreationTime
00700084 PN ContentCreatorName
00880130 SH StorageMediaFileSetID
00880140 UI StorageMediaFileSetUID
2200000E AT FailureAttributes
"""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: `tag` is group << 16 | element, `vr` its value representation, `keyword` that of PS3.6."""

    tag: int
    vr: str
    keyword: str


@cache
def by_tag() -> dict[int, Attribute]:
    """All that are known, by tag."""
    rows = (line.split(" ") for line in _TABLE.splitlines())
    return {int(tag, 16): Attribute(int(tag, 16), vr, keyword) for tag, vr, keyword in rows}


@cache
def by_keyword() -> dict[str, Attribute]:
    """All that are known, by keyword."""
    return {attribute.keyword: attribute for attribute in by_tag().values()}


@cache
def _vrs() -> dict[int, str]:
    return {tag: attribute.vr for tag, attribute in by_tag().items()}


def tag_of(key: str | int) -> int:
    """The tag of a keyword, of eight hexadecimal digits, or of a tag. Raises KeyError for anything else."""
    if isinstance(key, int):
        if not 0 <= key <= 0xFFFFFFFF:
            raise KeyError(key)
        return key
    known = by_keyword().get(key)
    if known is not None:
        return known.tag
    if len(key) == 8 and key.isascii() and key.isalnum():
        try:
            return int(key, 16)
        except ValueError:
            pass
    raise KeyError(key)


def keyword_of(tag: int) -> str:
    """The keyword of a tag; eight hexadecimal digits where it has none here."""
    known = by_tag().get(tag)
    return known.keyword if known is not None else f"{tag:08X}"


def vr_of(tag: int) -> str:
    """The value representation of a tag; UN where it is not known, LO for private creators, UL for group lengths."""
    known = _vrs().get(tag)
    if known is not None:
        return known
    element = tag & 0xFFFF
    if element == 0:
        return "UL"
    return "LO" if tag >> 16 & 1 and 0x10 <= element <= 0xFF else "UN"
